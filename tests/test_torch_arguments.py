"""Arguments of `cadence.lr_scheduler`: nonsense is refused, oddities that mean something are kept.

The first table is a text: a call, and indented under it the last line of the traceback, as in
`test_errors.py`. The calls only construct: nothing is left to fail at a later step.
"""

import inspect
import math
import re
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from math import inf, nan

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as theirs
from torch.optim.swa_utils import SWALR

import cadence.lr_scheduler as ours
from cadence.errors import ArgumentError, ArgumentTypeError
from optimizers import adamw, sgd
from test_errors import rows

REFUSED = """
StepLR(opt, 0)
    ArgumentError: StepLR: 'step_size' must be >= 1 (got 0)
StepLR(opt, 0.0)
    ArgumentError: StepLR: 'step_size' must be >= 1 (got 0)
StepLR(opt, -1)
    ArgumentError: StepLR: 'step_size' must be >= 1 (got -1)
StepLR(opt, -3)
    ArgumentError: StepLR: 'step_size' must be >= 1 (got -3)
StepLR(opt, 2.5)
    ArgumentTypeError: StepLR: 'step_size' must be a whole number (got 2.5)
StepLR(opt, nan)
    ArgumentError: StepLR: 'step_size' must be finite (got nan)
StepLR(opt, inf)
    ArgumentError: StepLR: 'step_size' must be finite (got inf)
StepLR(opt, "3")
    ArgumentTypeError: StepLR: 'step_size' must be a whole number (got '3')
StepLR(opt, True)
    ArgumentTypeError: StepLR: 'step_size' must be a whole number (got True)
StepLR(opt, np.True_)
    ArgumentTypeError: StepLR: 'step_size' must be a whole number (got np.True_)
StepLR(opt, tensor(True))
    ArgumentTypeError: StepLR: 'step_size' must be a whole number (got True)
StepLR(opt, tensor(2.5))
    ArgumentTypeError: StepLR: 'step_size' must be a whole number (got 2.5)
StepLR(opt, None)
    ArgumentTypeError: StepLR: 'step_size' must be a whole number (got None)
StepLR(opt, 1j)
    ArgumentTypeError: StepLR: 'step_size' must be a whole number (got 1j)
StepLR(opt, [3])
    ArgumentTypeError: StepLR: 'step_size' must be a whole number (got [3])
StepLR(opt, tensor([2, 3]))
    ArgumentTypeError: StepLR: 'step_size' must be a whole number (got tensor([2, 3]))
StepLR(opt, Fraction(5, 2))
    ArgumentTypeError: StepLR: 'step_size' must be a whole number (got Fraction(5, 2))
StepLR(opt, 2**53 + 1)
    ArgumentError: StepLR: 'step_size' must be <= 2**53 (got 9007199254740993)
StepLR(opt, -(10**5000))
    ArgumentError: StepLR: 'step_size' must be >= 1 (got a huge number)
StepLR(opt, 2, nan)
    ArgumentError: StepLR: 'gamma' must be finite (got nan)
StepLR(opt, 2, inf)
    ArgumentError: StepLR: 'gamma' must be finite (got inf)
StepLR(opt, 2, -1)
    ArgumentError: StepLR: 'gamma' must be >= 0 (got -1)
StepLR(opt, 2, "x")
    ArgumentTypeError: StepLR: 'gamma' must be a number (got 'x')
StepLR(opt, 2, None)
    ArgumentTypeError: StepLR: 'gamma' must be a number (got None)
StepLR(opt, 2, True)
    ArgumentTypeError: StepLR: 'gamma' must be a number (got True)
StepLR(opt, 2, 0.5j)
    ArgumentTypeError: StepLR: 'gamma' must be a number (got 0.5j)
StepLR(opt, 2, [0.5])
    ArgumentTypeError: StepLR: 'gamma' must be a number (got [0.5])
StepLR(opt, 2, Decimal("0.5"))
    ArgumentTypeError: StepLR: 'gamma' must be a number (got Decimal('0.5'))
StepLR(opt, 2, tensor([0.5, 0.5]))
    ArgumentTypeError: StepLR: 'gamma' must be a number (got tensor([0.5000, 0.5000]))
StepLR(opt, 2, tensor(nan))
    ArgumentError: StepLR: 'gamma' must be finite (got nan)
StepLR(opt, 2, np.array([0.5]))
    ArgumentTypeError: StepLR: 'gamma' must be a number (got array([0.5]))
StepLR(opt, 2, last_epoch=1.5)
    ArgumentTypeError: StepLR: 'last_epoch' must be a whole number (got 1.5)
StepLR(opt, 2, last_epoch=-5)
    ArgumentError: StepLR: 'last_epoch' must be >= -1 (got -5)
StepLR(opt, 2, last_epoch=nan)
    ArgumentError: StepLR: 'last_epoch' must be finite (got nan)
StepLR(opt, 2, last_epoch=None)
    ArgumentTypeError: StepLR: 'last_epoch' must be a whole number (got None)
StepLR(opt, 2, last_epoch="5")
    ArgumentTypeError: StepLR: 'last_epoch' must be a whole number (got '5')
StepLR(opt, 2, last_epoch=True)
    ArgumentTypeError: StepLR: 'last_epoch' must be a whole number (got True)
StepLR(opt, 2, last_epoch=5)
    KeyError: "param 'initial_lr' is not specified in param_groups[0] when resuming scheduler with
        last_epoch >= 0; load the optimizer's state first, or leave last_epoch out and load the
        scheduler's state"
StepLR(None, 2)
    ArgumentTypeError: NoneType is not an Optimizer
StepLR([opt], 2)
    ArgumentTypeError: list is not an Optimizer
StepLR(SGD, 2)
    ArgumentTypeError: type is not an Optimizer

MultiStepLR(opt, 3)
    ArgumentTypeError: MultiStepLR: 'milestones' must be a list of epochs (got 3)
MultiStepLR(opt, None)
    ArgumentTypeError: MultiStepLR: 'milestones' must be a list of epochs (got None)
MultiStepLR(opt, "23")
    ArgumentTypeError: MultiStepLR: 'milestones' must be a list of epochs (got '23')
MultiStepLR(opt, b"23")
    ArgumentTypeError: MultiStepLR: 'milestones' must be a list of epochs (got b'23')
MultiStepLR(opt, {2: 0.5})
    ArgumentTypeError: MultiStepLR: 'milestones' must be a list of epochs (got {2: 0.5})
MultiStepLR(opt, tensor(2))
    ArgumentTypeError: MultiStepLR: 'milestones' must be a list of epochs (got tensor(2))
MultiStepLR(opt, ["2"])
    ArgumentTypeError: MultiStepLR: 'milestones' must be a whole number (got '2')
MultiStepLR(opt, [2.5])
    ArgumentTypeError: MultiStepLR: 'milestones' must be a whole number (got 2.5)
MultiStepLR(opt, [-1, 2])
    ArgumentError: MultiStepLR: 'milestones' must be >= 0 (got -1)
MultiStepLR(opt, [2, nan])
    ArgumentError: MultiStepLR: 'milestones' must be finite (got nan)
MultiStepLR(opt, [inf])
    ArgumentError: MultiStepLR: 'milestones' must be finite (got inf)
MultiStepLR(opt, [True])
    ArgumentTypeError: MultiStepLR: 'milestones' must be a whole number (got True)
MultiStepLR(opt, [None])
    ArgumentTypeError: MultiStepLR: 'milestones' must be a whole number (got None)
MultiStepLR(opt, [[2, 4]])
    ArgumentTypeError: MultiStepLR: 'milestones' must be a whole number (got [2, 4])
MultiStepLR(opt, np.array([[2, 4]]))
    ArgumentTypeError: MultiStepLR: 'milestones' must be a whole number (got array([2, 4]))
MultiStepLR(opt, [2], nan)
    ArgumentError: MultiStepLR: 'gamma' must be finite (got nan)
MultiStepLR(opt, [2], -0.1)
    ArgumentError: MultiStepLR: 'gamma' must be >= 0 (got -0.1)
MultiStepLR(opt, [2], last_epoch=0.5)
    ArgumentTypeError: MultiStepLR: 'last_epoch' must be a whole number (got 0.5)

ExponentialLR(opt, nan)
    ArgumentError: ExponentialLR: 'gamma' must be finite (got nan)
ExponentialLR(opt, inf)
    ArgumentError: ExponentialLR: 'gamma' must be finite (got inf)
ExponentialLR(opt, -0.5)
    ArgumentError: ExponentialLR: 'gamma' must be >= 0 (got -0.5)
ExponentialLR(opt, "0.9")
    ArgumentTypeError: ExponentialLR: 'gamma' must be a number (got '0.9')
ExponentialLR(opt, 10**400)
    ArgumentError: ExponentialLR: 'gamma' must be finite (got
        100000000000000000000000000000000000000000000000000000000000...00000000000000000000)
ExponentialLR(opt, 0.9, -2)
    ArgumentError: ExponentialLR: 'last_epoch' must be >= -1 (got -2)

ConstantLR(opt, 1.5, 2)
    ArgumentError: ConstantLR: 'factor' must be <= 1 (got 1.5)
ConstantLR(opt, -1, 2)
    ArgumentError: ConstantLR: 'factor' must be >= 0 (got -1)
ConstantLR(opt, nan, 2)
    ArgumentError: ConstantLR: 'factor' must be finite (got nan)
ConstantLR(opt, "0.5", 2)
    ArgumentTypeError: ConstantLR: 'factor' must be a number (got '0.5')
ConstantLR(opt, 0.5, -2)
    ArgumentError: ConstantLR: 'total_iters' must be >= 0 (got -2)
ConstantLR(opt, 0.5, 2.5)
    ArgumentTypeError: ConstantLR: 'total_iters' must be a whole number (got 2.5)
ConstantLR(opt, 0.5, nan)
    ArgumentError: ConstantLR: 'total_iters' must be finite (got nan)
ConstantLR(opt, 0.5, None)
    ArgumentTypeError: ConstantLR: 'total_iters' must be a whole number (got None)
ConstantLR(opt, last_epoch="x")
    ArgumentTypeError: ConstantLR: 'last_epoch' must be a whole number (got 'x')

LinearLR(opt, 0)
    ArgumentError: LinearLR: 'start_factor' must be > 0 (got 0)
LinearLR(opt, 1.5)
    ArgumentError: LinearLR: 'start_factor' must be <= 1 (got 1.5)
LinearLR(opt, -0.5)
    ArgumentError: LinearLR: 'start_factor' must be > 0 (got -0.5)
LinearLR(opt, nan)
    ArgumentError: LinearLR: 'start_factor' must be finite (got nan)
LinearLR(opt, None)
    ArgumentTypeError: LinearLR: 'start_factor' must be a number (got None)
LinearLR(opt, end_factor=1.5)
    ArgumentError: LinearLR: 'end_factor' must be <= 1 (got 1.5)
LinearLR(opt, end_factor=-1)
    ArgumentError: LinearLR: 'end_factor' must be >= 0 (got -1)
LinearLR(opt, end_factor=nan)
    ArgumentError: LinearLR: 'end_factor' must be finite (got nan)
LinearLR(opt, total_iters=-2)
    ArgumentError: LinearLR: 'total_iters' must be >= 0 (got -2)
LinearLR(opt, total_iters=2.5)
    ArgumentTypeError: LinearLR: 'total_iters' must be a whole number (got 2.5)
LinearLR(opt, total_iters=nan)
    ArgumentError: LinearLR: 'total_iters' must be finite (got nan)
LinearLR(opt, last_epoch=inf)
    ArgumentError: LinearLR: 'last_epoch' must be finite (got inf)

PolynomialLR(opt, 0)
    ArgumentError: PolynomialLR: 'total_iters' must be >= 1 (got 0)
PolynomialLR(opt, -2)
    ArgumentError: PolynomialLR: 'total_iters' must be >= 1 (got -2)
PolynomialLR(opt, 2.5)
    ArgumentTypeError: PolynomialLR: 'total_iters' must be a whole number (got 2.5)
PolynomialLR(opt, nan)
    ArgumentError: PolynomialLR: 'total_iters' must be finite (got nan)
PolynomialLR(opt, "5")
    ArgumentTypeError: PolynomialLR: 'total_iters' must be a whole number (got '5')
PolynomialLR(opt, 3, nan)
    ArgumentError: PolynomialLR: 'power' must be finite (got nan)
PolynomialLR(opt, 3, -1)
    ArgumentError: PolynomialLR: 'power' must be >= 0 (got -1)
PolynomialLR(opt, 3, None)
    ArgumentTypeError: PolynomialLR: 'power' must be a number (got None)
PolynomialLR(opt, 3, last_epoch=[0])
    ArgumentTypeError: PolynomialLR: 'last_epoch' must be a whole number (got [0])

CosineAnnealingLR(opt, 0)
    ArgumentError: CosineAnnealingLR: 'T_max' must be >= 1 (got 0)
CosineAnnealingLR(opt, -3)
    ArgumentError: CosineAnnealingLR: 'T_max' must be >= 1 (got -3)
CosineAnnealingLR(opt, 2.5)
    ArgumentTypeError: CosineAnnealingLR: 'T_max' must be a whole number (got 2.5)
CosineAnnealingLR(opt, nan)
    ArgumentError: CosineAnnealingLR: 'T_max' must be finite (got nan)
CosineAnnealingLR(opt, inf)
    ArgumentError: CosineAnnealingLR: 'T_max' must be finite (got inf)
CosineAnnealingLR(opt, "3")
    ArgumentTypeError: CosineAnnealingLR: 'T_max' must be a whole number (got '3')
CosineAnnealingLR(opt, 3, -1)
    ArgumentError: CosineAnnealingLR: 'eta_min' must be >= 0 (got -1)
CosineAnnealingLR(opt, 3, nan)
    ArgumentError: CosineAnnealingLR: 'eta_min' must be finite (got nan)
CosineAnnealingLR(opt, 3, [0.1])
    ArgumentTypeError: CosineAnnealingLR: 'eta_min' must be a number (got [0.1])
CosineAnnealingLR(opt, 3, None)
    ArgumentTypeError: CosineAnnealingLR: 'eta_min' must be a number (got None)
CosineAnnealingLR(opt, 3, last_epoch=-7)
    ArgumentError: CosineAnnealingLR: 'last_epoch' must be >= -1 (got -7)

CosineAnnealingWarmRestarts(opt, 0)
    ArgumentError: CosineAnnealingWarmRestarts: 'T_0' must be >= 1 (got 0)
CosineAnnealingWarmRestarts(opt, 2.5)
    ArgumentTypeError: CosineAnnealingWarmRestarts: 'T_0' must be a whole number (got 2.5)
CosineAnnealingWarmRestarts(opt, 10.0)
    ArgumentTypeError: CosineAnnealingWarmRestarts: 'T_0' must be a whole number (got 10.0); write
        10
CosineAnnealingWarmRestarts(opt, nan)
    ArgumentTypeError: CosineAnnealingWarmRestarts: 'T_0' must be a whole number (got nan)
CosineAnnealingWarmRestarts(opt, True)
    ArgumentTypeError: CosineAnnealingWarmRestarts: 'T_0' must be a whole number (got True)
CosineAnnealingWarmRestarts(opt, "2")
    ArgumentTypeError: CosineAnnealingWarmRestarts: 'T_0' must be a whole number (got '2')
CosineAnnealingWarmRestarts(opt, 2, 0)
    ArgumentError: CosineAnnealingWarmRestarts: 'T_mult' must be >= 1 (got 0)
CosineAnnealingWarmRestarts(opt, 2, 1.5)
    ArgumentTypeError: CosineAnnealingWarmRestarts: 'T_mult' must be a whole number (got 1.5)
CosineAnnealingWarmRestarts(opt, 2, None)
    ArgumentTypeError: CosineAnnealingWarmRestarts: 'T_mult' must be a whole number (got None)
CosineAnnealingWarmRestarts(opt, 3, 1, nan)
    ArgumentError: CosineAnnealingWarmRestarts: 'eta_min' must be finite (got nan)
CosineAnnealingWarmRestarts(opt, 3, 1, -1)
    ArgumentError: CosineAnnealingWarmRestarts: 'eta_min' must be >= 0 (got -1)
CosineAnnealingWarmRestarts(opt, 3, 1, "0")
    ArgumentTypeError: CosineAnnealingWarmRestarts: 'eta_min' must be a number (got '0')
CosineAnnealingWarmRestarts(opt, 3, last_epoch=0.5)
    ArgumentTypeError: CosineAnnealingWarmRestarts: 'last_epoch' must be a whole number (got 0.5)

CyclicLR(opt, 0.01, 0.1, 0)
    ArgumentError: CyclicLR: 'step_size_up' must be >= 1 (got 0)
CyclicLR(opt, 0.01, 0.1, 0, 0)
    ArgumentError: CyclicLR: 'step_size_up' must be >= 1 (got 0)
CyclicLR(opt, 0.01, 0.1, -2)
    ArgumentError: CyclicLR: 'step_size_up' must be >= 1 (got -2)
CyclicLR(opt, 0.01, 0.1, 2.5, 1)
    ArgumentTypeError: CyclicLR: 'step_size_up' must be a whole number (got 2.5)
CyclicLR(opt, 0.01, 0.1, nan, 1)
    ArgumentError: CyclicLR: 'step_size_up' must be finite (got nan)
CyclicLR(opt, 0.01, 0.1, None)
    ArgumentTypeError: CyclicLR: 'step_size_up' must be a whole number (got None)
CyclicLR(opt, 0.01, 0.1, "2")
    ArgumentTypeError: CyclicLR: 'step_size_up' must be a whole number (got '2')
CyclicLR(opt, 0.01, 0.1, 2, 0)
    ArgumentError: CyclicLR: 'step_size_down' must be >= 1 (got 0)
CyclicLR(opt, 0.01, 0.1, 2, 1.5)
    ArgumentTypeError: CyclicLR: 'step_size_down' must be a whole number (got 1.5)
CyclicLR(opt, nan, 0.1)
    ArgumentError: CyclicLR: 'base_lr' must be finite (got nan)
CyclicLR(opt, -0.1, 0.1)
    ArgumentError: CyclicLR: 'base_lr' must be >= 0 (got -0.1)
CyclicLR(opt, None, 0.1)
    ArgumentTypeError: CyclicLR: 'base_lr' must be a number (got None)
CyclicLR(opt, "0.1", 0.1)
    ArgumentTypeError: CyclicLR: 'base_lr' must be a number (got '0.1')
CyclicLR(opt, [0.01, 0.02], 0.1)
    ArgumentError: CyclicLR: base_lr must have the same length as optimizer.param_groups (got 2
        values for 1 groups)
CyclicLR(two, np.array([0.01, 0.02]), 0.1)
    ArgumentTypeError: CyclicLR: 'base_lr' must be a number (got array([0.01, 0.02]))
CyclicLR(two, tensor([0.25, 0.5]), 0.1)
    ArgumentTypeError: CyclicLR: 'base_lr' must be a number (got tensor([0.2500, 0.5000]))
CyclicLR(two, [0.01, [0.02]], 0.1)
    ArgumentTypeError: CyclicLR: 'base_lr' must be a number (got [0.02])
CyclicLR(opt, 0.01, inf)
    ArgumentError: CyclicLR: 'max_lr' must be finite (got inf)
CyclicLR(two, 0.01, [0.1])
    ArgumentError: CyclicLR: max_lr must have the same length as optimizer.param_groups (got 1
        values for 2 groups)
CyclicLR(two, 0.01, [0.1, -0.1])
    ArgumentError: CyclicLR: 'max_lr' must be >= 0 (got -0.1)
CyclicLR(opt, 0.01, 0.1, mode="x")
    ArgumentError: CyclicLR: 'mode' must be one of 'triangular', 'triangular2', 'exp_range' (got
        'x')
CyclicLR(opt, 0.01, 0.1, mode="triangle")
    ArgumentError: CyclicLR: 'mode' must be one of 'triangular', 'triangular2', 'exp_range' (got
        'triangle'); did you mean 'triangular'?
CyclicLR(opt, 0.01, 0.1, mode=None)
    ArgumentTypeError: CyclicLR: 'mode' must be one of 'triangular', 'triangular2', 'exp_range'
        (got None)
CyclicLR(opt, 0.01, 0.1, scale_mode="x", scale_fn=half)
    ArgumentError: CyclicLR: 'scale_mode' must be one of 'cycle', 'iterations' (got 'x')
CyclicLR(opt, 0.01, 0.1, scale_fn=0.5)
    ArgumentTypeError: CyclicLR: 'scale_fn' must be a function (got 0.5)
CyclicLR(opt, 0.01, 0.1, scale_fn=[half])
    ArgumentTypeError: CyclicLR: 'scale_fn' must be a function (got [half])
CyclicLR(opt, 0.01, 0.1, scale_fn=lambda cycle: None)
    ArgumentTypeError: CyclicLR: 'scale_fn(1)' must be a number (got None)
CyclicLR(opt, 0.01, 0.1, scale_fn=lambda cycle: "0.5")
    ArgumentTypeError: CyclicLR: 'scale_fn(1)' must be a number (got '0.5')
CyclicLR(opt, 0.01, 0.1, scale_fn=lambda step: nan, scale_mode="iterations")
    ArgumentError: CyclicLR: 'scale_fn(0)' must be finite (got nan)
CyclicLR(opt, 0.01, 0.1, mode="exp_range", gamma=nan)
    ArgumentError: CyclicLR: 'gamma' must be finite (got nan)
CyclicLR(opt, 0.01, 0.1, gamma=-0.5)
    ArgumentError: CyclicLR: 'gamma' must be >= 0 (got -0.5)
CyclicLR(opt, 0.01, 0.1, gamma="1")
    ArgumentTypeError: CyclicLR: 'gamma' must be a number (got '1')
CyclicLR(adagrad, 0.01, 0.1)
    ArgumentError: CyclicLR: optimizer must support momentum or beta1 with `cycle_momentum` option
        enabled (got Adagrad)
CyclicLR(opt, 0.01, 0.1, base_momentum=nan)
    ArgumentError: CyclicLR: 'base_momentum' must be finite (got nan)
CyclicLR(opt, 0.01, 0.1, base_momentum=-0.1)
    ArgumentError: CyclicLR: 'base_momentum' must be >= 0 (got -0.1)
CyclicLR(opt, 0.01, 0.1, base_momentum=None)
    ArgumentTypeError: CyclicLR: 'base_momentum' must be a number (got None)
CyclicLR(opt, 0.01, 0.1, max_momentum=[0.9, 0.8])
    ArgumentError: CyclicLR: max_momentum must have the same length as optimizer.param_groups (got
        2 values for 1 groups)
CyclicLR(opt, 0.01, 0.1, last_epoch="0")
    ArgumentTypeError: CyclicLR: 'last_epoch' must be a whole number (got '0')

OneCycleLR(opt, 0.1)
    ArgumentError: OneCycleLR: You must define either total_steps OR (epochs AND steps_per_epoch)
OneCycleLR(opt, 0.1, epochs=2)
    ArgumentError: OneCycleLR: You must define either total_steps OR (epochs AND steps_per_epoch)
OneCycleLR(opt, 0.1, steps_per_epoch=2)
    ArgumentError: OneCycleLR: You must define either total_steps OR (epochs AND steps_per_epoch)
OneCycleLR(opt, 0.1, 0)
    ArgumentError: OneCycleLR: 'total_steps' must be >= 1 (got 0)
OneCycleLR(opt, 0.1, -1)
    ArgumentError: OneCycleLR: 'total_steps' must be >= 1 (got -1)
OneCycleLR(opt, 0.1, 2.5)
    ArgumentTypeError: OneCycleLR: 'total_steps' must be a whole number (got 2.5)
OneCycleLR(opt, 0.1, 1e3)
    ArgumentTypeError: OneCycleLR: 'total_steps' must be a whole number (got 1000.0); write 1000
OneCycleLR(opt, 0.1, nan)
    ArgumentTypeError: OneCycleLR: 'total_steps' must be a whole number (got nan)
OneCycleLR(opt, 0.1, True)
    ArgumentTypeError: OneCycleLR: 'total_steps' must be a whole number (got True)
OneCycleLR(opt, 0.1, "10")
    ArgumentTypeError: OneCycleLR: 'total_steps' must be a whole number (got '10')
OneCycleLR(opt, 0.1, epochs=0, steps_per_epoch=5)
    ArgumentError: OneCycleLR: 'epochs' must be >= 1 (got 0)
OneCycleLR(opt, 0.1, epochs=2.5, steps_per_epoch=2)
    ArgumentTypeError: OneCycleLR: 'epochs' must be a whole number (got 2.5)
OneCycleLR(opt, 0.1, epochs=2, steps_per_epoch=0)
    ArgumentError: OneCycleLR: 'steps_per_epoch' must be >= 1 (got 0)
OneCycleLR(opt, 0.1, epochs=2, steps_per_epoch="5")
    ArgumentTypeError: OneCycleLR: 'steps_per_epoch' must be a whole number (got '5')
OneCycleLR(opt, 0.1, 10, pct_start=1.0)
    ArgumentError: OneCycleLR: 'pct_start' must be < 1 (got 1.0)
OneCycleLR(opt, 0.1, 10, pct_start=1.5)
    ArgumentError: OneCycleLR: 'pct_start' must be < 1 (got 1.5)
OneCycleLR(opt, 0.1, 10, pct_start=-0.1)
    ArgumentError: OneCycleLR: 'pct_start' must be >= 0 (got -0.1)
OneCycleLR(opt, 0.1, 10, pct_start=nan)
    ArgumentError: OneCycleLR: 'pct_start' must be finite (got nan)
OneCycleLR(opt, 0.1, 10, pct_start="0.3")
    ArgumentTypeError: OneCycleLR: 'pct_start' must be a number (got '0.3')
OneCycleLR(opt, 0.1, 10, pct_start=None)
    ArgumentTypeError: OneCycleLR: 'pct_start' must be a number (got None)
OneCycleLR(opt, 0.1, 10, pct_start=0.1)
    ArgumentError: OneCycleLR: 'pct_start' must not be 1 / total_steps, a rise of no length (got
        0.1 with 10 steps)
OneCycleLR(opt, 0.1, epochs=2, steps_per_epoch=4, pct_start=0.125, three_phase=True)
    ArgumentError: OneCycleLR: 'pct_start' must not be 1 / total_steps, a rise of no length (got
        0.125 with 8 steps)
OneCycleLR(opt, 0.1, 10, pct_start=0.6, three_phase=True)
    ArgumentError: OneCycleLR: 'pct_start' must be <= 0.5 (got 0.6)
OneCycleLR(opt, 0.1, 10, anneal_strategy="x")
    ArgumentError: OneCycleLR: 'anneal_strategy' must be one of 'cos', 'linear' (got 'x')
OneCycleLR(opt, 0.1, 10, anneal_strategy="cosine")
    ArgumentError: OneCycleLR: 'anneal_strategy' must be one of 'cos', 'linear' (got 'cosine');
        did you mean 'cos'?
OneCycleLR(opt, 0.1, 10, anneal_strategy=None)
    ArgumentTypeError: OneCycleLR: 'anneal_strategy' must be one of 'cos', 'linear' (got None)
OneCycleLR(opt, 0.1, 10, div_factor=0)
    ArgumentError: OneCycleLR: 'div_factor' must be > 0 (got 0)
OneCycleLR(opt, 0.1, 10, div_factor=-1)
    ArgumentError: OneCycleLR: 'div_factor' must be > 0 (got -1)
OneCycleLR(opt, 0.1, 10, div_factor=nan)
    ArgumentError: OneCycleLR: 'div_factor' must be finite (got nan)
OneCycleLR(opt, 0.1, 10, div_factor=[25])
    ArgumentTypeError: OneCycleLR: 'div_factor' must be a number (got [25])
OneCycleLR(opt, 0.1, 10, final_div_factor=0)
    ArgumentError: OneCycleLR: 'final_div_factor' must be > 0 (got 0)
OneCycleLR(opt, 0.1, 10, final_div_factor=-inf)
    ArgumentError: OneCycleLR: 'final_div_factor' must be finite (got -inf)
OneCycleLR(opt, -1, 10)
    ArgumentError: OneCycleLR: 'max_lr' must be >= 0 (got -1)
OneCycleLR(opt, nan, 10)
    ArgumentError: OneCycleLR: 'max_lr' must be finite (got nan)
OneCycleLR(opt, None, 10)
    ArgumentTypeError: OneCycleLR: 'max_lr' must be a number (got None)
OneCycleLR(opt, [0.1, 0.2], 10)
    ArgumentError: OneCycleLR: max_lr must have the same length as optimizer.param_groups (got 2
        values for 1 groups)
OneCycleLR(opt, [], 10)
    ArgumentError: OneCycleLR: max_lr must have the same length as optimizer.param_groups (got 0
        values for 1 groups)
OneCycleLR(opt, 0.1, 10, base_momentum=-0.5)
    ArgumentError: OneCycleLR: 'base_momentum' must be >= 0 (got -0.5)
OneCycleLR(opt, 0.1, 10, base_momentum="0.85")
    ArgumentTypeError: OneCycleLR: 'base_momentum' must be a number (got '0.85')
OneCycleLR(opt, 0.1, 10, max_momentum=nan)
    ArgumentError: OneCycleLR: 'max_momentum' must be finite (got nan)
OneCycleLR(two, 0.1, 10, max_momentum=[0.9])
    ArgumentError: OneCycleLR: max_momentum must have the same length as optimizer.param_groups
        (got 1 values for 2 groups)
OneCycleLR(adagrad, 0.1, 10)
    ArgumentError: OneCycleLR: optimizer must support momentum or beta1 with `cycle_momentum`
        option enabled (got Adagrad)
OneCycleLR(opt, 0.1, 10, last_epoch=2.5)
    ArgumentTypeError: OneCycleLR: 'last_epoch' must be a whole number (got 2.5)

LambdaLR(opt, 0.5)
    ArgumentTypeError: LambdaLR: 'lr_lambda' must be a function (got 0.5)
LambdaLR(opt, "half")
    ArgumentTypeError: LambdaLR: 'lr_lambda' must be a function (got 'half')
LambdaLR(opt, None)
    ArgumentTypeError: LambdaLR: 'lr_lambda' must be a function (got None)
LambdaLR(opt, [half, half])
    ArgumentError: LambdaLR: Expected 1 lr_lambdas, but got 2
LambdaLR(opt, [])
    ArgumentError: LambdaLR: Expected 1 lr_lambdas, but got 0
LambdaLR(two, [half, 0.5])
    ArgumentTypeError: LambdaLR: 'lr_lambda' must be a function (got 0.5)
LambdaLR(opt, lambda epoch: None)
    ArgumentTypeError: LambdaLR: 'lr_lambda(0)' must be a number (got None)
LambdaLR(opt, lambda epoch: "ab")
    ArgumentTypeError: LambdaLR: 'lr_lambda(0)' must be a number (got 'ab')
LambdaLR(opt, lambda epoch: "0.5")
    ArgumentTypeError: LambdaLR: 'lr_lambda(0)' must be a number (got '0.5')
LambdaLR(opt, lambda epoch: [1.0])
    ArgumentTypeError: LambdaLR: 'lr_lambda(0)' must be a number (got [1.0])
LambdaLR(opt, lambda epoch: 1j)
    ArgumentTypeError: LambdaLR: 'lr_lambda(0)' must be a number (got 1j)
LambdaLR(opt, lambda epoch: tensor([1, 2]))
    ArgumentTypeError: LambdaLR: 'lr_lambda(0)' must be a number (got tensor([1, 2]))
LambdaLR(opt, lambda epoch: nan)
    ArgumentError: LambdaLR: 'lr_lambda(0)' must be finite (got nan)
LambdaLR(opt, lambda epoch: -inf)
    ArgumentError: LambdaLR: 'lr_lambda(0)' must be finite (got -inf)
LambdaLR(opt, lambda epoch: -1)
    ArgumentError: LambdaLR: 'lr_lambda(0)' must be >= 0 (got -1)
LambdaLR(two, [half, lambda epoch: tensor(nan)])
    ArgumentError: LambdaLR: 'lr_lambda(0)' must be finite (got nan)
LambdaLR(opt, half, 0.5)
    ArgumentTypeError: LambdaLR: 'last_epoch' must be a whole number (got 0.5)

MultiplicativeLR(opt, 0.5)
    ArgumentTypeError: MultiplicativeLR: 'lr_lambda' must be a function (got 0.5)
MultiplicativeLR(opt, [0.5])
    ArgumentTypeError: MultiplicativeLR: 'lr_lambda' must be a function (got 0.5)
MultiplicativeLR(opt, [half, half])
    ArgumentError: MultiplicativeLR: Expected 1 lr_lambdas, but got 2
MultiplicativeLR(opt, half, nan)
    ArgumentError: MultiplicativeLR: 'last_epoch' must be finite (got nan)

ReduceLROnPlateau(opt, factor=1.0)
    ArgumentError: ReduceLROnPlateau: 'factor' must be < 1 (got 1.0)
ReduceLROnPlateau(opt, factor=-0.5)
    ArgumentError: ReduceLROnPlateau: 'factor' must be >= 0 (got -0.5)
ReduceLROnPlateau(opt, factor=nan)
    ArgumentError: ReduceLROnPlateau: 'factor' must be finite (got nan)
ReduceLROnPlateau(opt, factor="0.1")
    ArgumentTypeError: ReduceLROnPlateau: 'factor' must be a number (got '0.1')
ReduceLROnPlateau(opt, factor=[0.1])
    ArgumentTypeError: ReduceLROnPlateau: 'factor' must be a number (got [0.1])
ReduceLROnPlateau(opt, patience=-1)
    ArgumentError: ReduceLROnPlateau: 'patience' must be >= 0 (got -1)
ReduceLROnPlateau(opt, patience=nan)
    ArgumentError: ReduceLROnPlateau: 'patience' must be finite (got nan)
ReduceLROnPlateau(opt, patience=1.5)
    ArgumentTypeError: ReduceLROnPlateau: 'patience' must be a whole number (got 1.5)
ReduceLROnPlateau(opt, patience=None)
    ArgumentTypeError: ReduceLROnPlateau: 'patience' must be a number (got None)
ReduceLROnPlateau(opt, patience=True)
    ArgumentTypeError: ReduceLROnPlateau: 'patience' must be a number (got True)
ReduceLROnPlateau(opt, threshold=-1)
    ArgumentError: ReduceLROnPlateau: 'threshold' must be >= 0 (got -1)
ReduceLROnPlateau(opt, threshold=2.0)
    ArgumentError: ReduceLROnPlateau: 'threshold' must be < 1 (got 2.0)
ReduceLROnPlateau(opt, threshold=nan)
    ArgumentError: ReduceLROnPlateau: 'threshold' must be finite (got nan)
ReduceLROnPlateau(opt, threshold="abs")
    ArgumentTypeError: ReduceLROnPlateau: 'threshold' must be a number (got 'abs')
ReduceLROnPlateau(opt, cooldown=-3)
    ArgumentError: ReduceLROnPlateau: 'cooldown' must be >= 0 (got -3)
ReduceLROnPlateau(opt, cooldown=0.5)
    ArgumentTypeError: ReduceLROnPlateau: 'cooldown' must be a whole number (got 0.5)
ReduceLROnPlateau(opt, min_lr=-0.1)
    ArgumentError: ReduceLROnPlateau: 'min_lr' must be >= 0 (got -0.1)
ReduceLROnPlateau(opt, min_lr=None)
    ArgumentTypeError: ReduceLROnPlateau: 'min_lr' must be a number (got None)
ReduceLROnPlateau(opt, min_lr=[0.1, 0.2])
    ArgumentError: ReduceLROnPlateau: min_lr must have the same length as optimizer.param_groups
        (got 2 values for 1 groups)
ReduceLROnPlateau(opt, mode="x")
    ArgumentError: ReduceLROnPlateau: 'mode' must be one of 'min', 'max' (got 'x')
ReduceLROnPlateau(opt, mode=None)
    ArgumentTypeError: ReduceLROnPlateau: 'mode' must be one of 'min', 'max' (got None)
ReduceLROnPlateau(opt, ["min"])
    ArgumentTypeError: ReduceLROnPlateau: 'mode' must be one of 'min', 'max' (got ['min'])
ReduceLROnPlateau(opt, threshold_mode="x")
    ArgumentError: ReduceLROnPlateau: 'threshold_mode' must be one of 'rel', 'abs' (got 'x')
ReduceLROnPlateau(opt, eps=nan)
    ArgumentError: ReduceLROnPlateau: 'eps' must be finite (got nan)
ReduceLROnPlateau(opt, eps=-1e-8)
    ArgumentError: ReduceLROnPlateau: 'eps' must be >= 0 (got -1e-08)
ReduceLROnPlateau(SGD)
    ArgumentTypeError: type is not an Optimizer

SWALR(opt, nan)
    ArgumentError: SWALR: 'swa_lr' must be finite (got nan)
SWALR(opt, -0.05)
    ArgumentError: SWALR: 'swa_lr' must be >= 0 (got -0.05)
SWALR(opt, "0.05")
    ArgumentTypeError: SWALR: 'swa_lr' must be a number (got '0.05')
SWALR(opt, [0.1, 0.2])
    ArgumentError: SWALR: swa_lr must have the same length as optimizer.param_groups (got 2 values
        for 1 groups)
SWALR(opt, 0.05, -1)
    ArgumentError: SWALR: anneal_epochs must be a whole number >= 0 (got -1)
SWALR(opt, 0.05, 2.0)
    ArgumentTypeError: SWALR: anneal_epochs must be a whole number >= 0 (got 2.0)
SWALR(opt, 0.05, nan)
    ArgumentTypeError: SWALR: anneal_epochs must be a whole number >= 0 (got nan)
SWALR(opt, 0.05, True)
    ArgumentTypeError: SWALR: anneal_epochs must be a whole number >= 0 (got True)
SWALR(opt, 0.05, "5")
    ArgumentTypeError: SWALR: anneal_epochs must be a whole number >= 0 (got '5')
SWALR(opt, 0.05, 5, "x")
    ArgumentError: SWALR: anneal_strategy must be 'cos' or 'linear' (got 'x')
SWALR(opt, 0.05, 5, None)
    ArgumentTypeError: SWALR: anneal_strategy must be 'cos' or 'linear' (got None)
SWALR(opt, 0.05, last_epoch=-3)
    ArgumentError: SWALR: 'last_epoch' must be >= -1 (got -3)

SequentialLR(used, [], [])
    ArgumentError: SequentialLR expects at least one scheduler, but got no scheduler.
SequentialLR(used, None, [])
    ArgumentTypeError: SequentialLR: 'schedulers' must be a list (got NoneType)
SequentialLR(used, warm, [])
    ArgumentTypeError: SequentialLR: 'schedulers' must be a list (got ConstantLR)
SequentialLR(used, [StepLR], [])
    ArgumentTypeError: SequentialLR at index 0 should have `optimizer` as its attribute.
SequentialLR(used, [warm, "decay"], [2])
    ArgumentTypeError: SequentialLR at index 1 should have `optimizer` as its attribute.
SequentialLR(used, [warm, alien], [2])
    ArgumentError: SequentialLR expects all schedulers to belong to the same optimizer, but got
        scheduler StepLR at index 1, whose optimizer is another
SequentialLR(used, [warm, warm], [2])
    ArgumentError: SequentialLR expects each scheduler once, but got ConstantLR twice (again at
        index 1)
SequentialLR(None, [warm], [])
    ArgumentTypeError: NoneType is not an Optimizer
SequentialLR("used", [warm], [])
    ArgumentTypeError: str is not an Optimizer
SequentialLR(used, [warm, decay], [])
    ArgumentError: Sequential Schedulers expects number of schedulers provided to be one more than
        the number of milestone points, but got 2 schedulers and 0 milestones
SequentialLR(used, [warm], [2])
    ArgumentError: Sequential Schedulers expects number of schedulers provided to be one more than
        the number of milestone points, but got 1 schedulers and 1 milestones
SequentialLR(used, [warm, decay, tail], [4, 2])
    ArgumentError: SequentialLR: 'milestones' must be in rising order (got [4, 2])
SequentialLR(used, [warm, decay], [-1])
    ArgumentError: SequentialLR: 'milestones' must be >= 0 (got -1)
SequentialLR(used, [warm, decay], [2.5])
    ArgumentTypeError: SequentialLR: 'milestones' must be a whole number (got 2.5)
SequentialLR(used, [warm, decay], [nan])
    ArgumentError: SequentialLR: 'milestones' must be finite (got nan)
SequentialLR(used, [warm, decay], ["2"])
    ArgumentTypeError: SequentialLR: 'milestones' must be a whole number (got '2')
SequentialLR(used, [warm, decay], "2")
    ArgumentTypeError: SequentialLR: 'milestones' must be a list of epochs (got '2')
SequentialLR(used, [warm, decay], 2)
    ArgumentTypeError: SequentialLR: 'milestones' must be a list of epochs (got 2)
SequentialLR(used, [warm, decay], None)
    ArgumentTypeError: SequentialLR: 'milestones' must be a list of epochs (got None)
SequentialLR(used, [warm, decay], [[2]])
    ArgumentTypeError: SequentialLR: 'milestones' must be a whole number (got [2])
SequentialLR(used, [warm, decay], [2], "x")
    ArgumentTypeError: SequentialLR: 'last_epoch' must be a whole number (got 'x')
SequentialLR(used, [warm, decay], [2], -5)
    ArgumentError: SequentialLR: 'last_epoch' must be >= -1 (got -5)

ChainedScheduler([])
    ArgumentError: ChainedScheduler expects at least one scheduler, but got no scheduler.
ChainedScheduler(None)
    ArgumentTypeError: ChainedScheduler: 'schedulers' must be a list (got NoneType)
ChainedScheduler(warm)
    ArgumentTypeError: ChainedScheduler: 'schedulers' must be a list (got ConstantLR)
ChainedScheduler({warm, decay})
    ArgumentTypeError: ChainedScheduler: 'schedulers' must be a list (got set)
ChainedScheduler([warm, StepLR])
    ArgumentTypeError: ChainedScheduler at index 1 should have `optimizer` as its attribute.
ChainedScheduler([warm, None])
    ArgumentTypeError: ChainedScheduler at index 1 should have `optimizer` as its attribute.
ChainedScheduler([warm, alien])
    ArgumentError: ChainedScheduler expects all schedulers to belong to the same optimizer, but
        got scheduler StepLR at index 1, whose optimizer is another
ChainedScheduler([warm, decay], opt)
    ArgumentError: ChainedScheduler expects all schedulers to belong to the same optimizer, but
        got scheduler ConstantLR at index 0, whose optimizer is another
ChainedScheduler([warm, warm])
    ArgumentError: ChainedScheduler expects each scheduler once, but got ConstantLR twice (again
        at index 1)
"""

VALID = {
    "StepLR": "StepLR(opt, 2, 0.5)",
    "MultiStepLR": "MultiStepLR(opt, [2, 5])",
    "ExponentialLR": "ExponentialLR(opt, 0.9)",
    "ConstantLR": "ConstantLR(opt, 0.5, 3)",
    "LinearLR": "LinearLR(opt)",
    "PolynomialLR": "PolynomialLR(opt, 8, 2.0)",
    "CosineAnnealingLR": "CosineAnnealingLR(opt, 5, 0.01)",
    "CosineAnnealingWarmRestarts": "CosineAnnealingWarmRestarts(opt, 2, 2)",
    "CyclicLR": "CyclicLR(opt, 0.01, 0.1, 3)",
    "OneCycleLR": "OneCycleLR(opt, 0.1, 15)",
    "LambdaLR": "LambdaLR(opt, half)",
    "MultiplicativeLR": "MultiplicativeLR(opt, half)",
    "ReduceLROnPlateau": "ReduceLROnPlateau(opt, patience=1)",
    "SWALR": "SWALR(opt, 0.05, 5)",
    "SequentialLR": "SequentialLR(used, [warm, decay, tail], [2, 6])",
    "ChainedScheduler": "ChainedScheduler([warm, decay, tail])",
}
"""A good call for each class."""

ODD = """
StepLR(opt, 3.0)
StepLR(opt, 1e5)
StepLR(opt, np.int64(3))
StepLR(opt, np.float32(3))
StepLR(opt, np.array(3))
StepLR(opt, tensor(3))
StepLR(opt, tensor(3.0))
StepLR(opt, 1)
StepLR(opt, 2, 0)
StepLR(opt, 2, 2)
StepLR(opt, 2, np.float64(0.3))
StepLR(opt, 2, np.array(0.3))
StepLR(opt, 2, tensor(0.3, dtype=float64))
StepLR(opt, 2, Fraction(1, 4))
StepLR(opt, 2, last_epoch=-1.0)
StepLR(resumed, 2, last_epoch=3.0)
StepLR(resumed, 2, last_epoch=np.int64(3))
StepLR(descending, 2)
MultiStepLR(opt, [4, 2], 0.5)
MultiStepLR(opt, [2, 2], 0.5)
MultiStepLR(opt, [], 0.5)
MultiStepLR(opt, [0], 0.5)
MultiStepLR(opt, [2.0, 4], 0.5)
MultiStepLR(opt, (2, 4), 0.5)
MultiStepLR(opt, {2, 4}, 0.5)
MultiStepLR(opt, range(2, 12, 3), 0.5)
MultiStepLR(opt, (k for k in (2, 4)), 0.5)
MultiStepLR(opt, Counter([2, 2, 4]), 0.5)
MultiStepLR(opt, np.array([2, 4, 4]), 0.5)
MultiStepLR(opt, np.array([2.0, 4.0]), 0.5)
MultiStepLR(opt, [2, 10**9], 1.5)
ExponentialLR(opt, 0)
ExponentialLR(opt, 1)
ExponentialLR(opt, 1.5)
ExponentialLR(two, np.float64(0.7))
ConstantLR(opt, 1, 2)
ConstantLR(opt, 0.5, 3.0)
LinearLR(opt, 1, 0)
LinearLR(opt, 1.0, 0.25, 4)
LinearLR(opt, 0.25, 0.25)
LinearLR(opt, end_factor=0, total_iters=3)
LinearLR(opt, total_iters=1e1)
PolynomialLR(opt, 3, 0)
PolynomialLR(opt, 3, 0.5)
PolynomialLR(opt, 1)
PolynomialLR(opt, 6.0, 3)
CosineAnnealingLR(opt, 1)
CosineAnnealingLR(opt, 1e5)
CosineAnnealingLR(opt, 3)
CosineAnnealingLR(opt, 5, 1.0)
CosineAnnealingLR(opt, 5, 0.1)
CosineAnnealingLR(two, 4, np.float64(0.01))
CosineAnnealingLR(opt, 5, tensor(0.01, dtype=float64))
CosineAnnealingWarmRestarts(opt, 1)
CosineAnnealingWarmRestarts(opt, 3, 1, 5.0)
CosineAnnealingWarmRestarts(opt, 3, 3, 0)
CyclicLR(opt, 0.1, 0.01, 3)
CyclicLR(opt, 0.1, 0.1, 3)
CyclicLR(opt, 0, 0.1, 3)
CyclicLR(opt, 0.01, 0.1, 3.0, 1)
CyclicLR(opt, [0.01], (0.1,), 3)
CyclicLR(two, [0.01, 0.02], [0.1, 0.05], np.int64(2))
CyclicLR(opt, 0.01, 0.1, 2, mode="exp_range", gamma=1.5)
CyclicLR(opt, 0.01, 0.1, 2, mode="anything", scale_fn=half)
CyclicLR(opt, 0.01, 0.1, 2, scale_fn=lambda step: -1.0, scale_mode="iterations")
CyclicLR(opt, 0.01, 0.1, 2, scale_fn=lambda cycle: cycle < 3)
CyclicLR(opt, 0.01, 0.1, 2, base_momentum=0.9, max_momentum=0.8)
CyclicLR(opt, 0.01, 0.1, 2, base_momentum=0, max_momentum=1)
CyclicLR(opt, 0.01, 0.1, 2, base_momentum=1, max_momentum=5)
CyclicLR(opt, 0.01, 0.1, 2, cycle_momentum=False, base_momentum=None, max_momentum=None)
CyclicLR(plain, 0.01, 0.1, 2)
CyclicLR(adam, 0.01, 0.1, 2)
CyclicLR(adagrad, 0.01, 0.1, 2, cycle_momentum=False)
OneCycleLR(opt, 0, 15)
OneCycleLR(opt, 0.1, 15, pct_start=0.9)
OneCycleLR(opt, 0.1, 15, div_factor=0.5)
OneCycleLR(opt, 0.1, 15, div_factor=inf)
OneCycleLR(opt, 0.1, 15, final_div_factor=inf)
OneCycleLR(opt, 0.1, 15, final_div_factor=0.01)
OneCycleLR(opt, 0.1, 15, base_momentum=0.95, max_momentum=0.85)
OneCycleLR(opt, 0.1, 15, base_momentum=11, max_momentum=22)
OneCycleLR(opt, 0.1, 15, cycle_momentum=False, base_momentum=None, max_momentum=None)
OneCycleLR(opt, 0.1, 15, pct_start=0.5, three_phase=True)
OneCycleLR(opt, 0.1, 15, epochs=None, steps_per_epoch="unused")
OneCycleLR(two, (0.1, 0.2), 15, max_momentum=[0.9, 0.8])
OneCycleLR(adam, 0.1, epochs=3, steps_per_epoch=5)
LambdaLR(opt, lambda epoch: epoch < 5)
LambdaLR(opt, lambda epoch: 0)
LambdaLR(opt, lambda epoch: 1.0 - epoch / 10)
LambdaLR(opt, lambda epoch: np.float64(2.0))
LambdaLR(opt, lambda epoch: tensor(0.5, dtype=float64))
LambdaLR(two, (half, lambda epoch: 3))
LambdaLR(descending, half)
MultiplicativeLR(opt, lambda epoch: 1.5)
MultiplicativeLR(opt, lambda epoch: -1)
MultiplicativeLR(two, [half, lambda epoch: True])
ReduceLROnPlateau(opt, patience=0)
ReduceLROnPlateau(opt, patience=2.0)
ReduceLROnPlateau(opt, patience=np.int64(2), factor=np.float32(0.5))
ReduceLROnPlateau(opt, patience=inf)
ReduceLROnPlateau(opt, patience=1, cooldown=inf)
ReduceLROnPlateau(opt, patience=1, factor=0)
ReduceLROnPlateau(opt, patience=1, min_lr=1.0)
ReduceLROnPlateau(two, patience=1, min_lr=[0.01, 0.03])
ReduceLROnPlateau(two, patience=1, min_lr=(0.01, 0.03), eps=0)
ReduceLROnPlateau(opt, "max", patience=1, threshold=2.0)
ReduceLROnPlateau(opt, patience=1, threshold=2.0, threshold_mode="abs")
ReduceLROnPlateau(opt, patience=1, threshold=0)
SWALR(opt, 0.05, 0)
SWALR(opt, 0.5, 4, "linear")
SWALR(opt, 0)
SWALR(two, [0.05, 0.01], 4)
SequentialLR(used, [warm], [])
SequentialLR(used, (warm, decay), (3,))
SequentialLR(used, [warm, decay], [3.0])
SequentialLR(used, [warm, decay], np.array([3]))
SequentialLR(used, [warm, decay], range(3, 4))
SequentialLR(used, [warm, decay, tail], [3, 3])
SequentialLR(used, [warm, decay], [10**9])
ChainedScheduler((warm, decay))
ChainedScheduler([warm, decay], None)
ChainedScheduler([warm, decay, tail], used)
"""
"""Calls that look odd and mean something: they give torch's numbers."""

PUT_RIGHT = {
    "StepLR(opt, 2, np.float32(0.5))": [0.1, 0.1, 0.05],
    "ConstantLR(opt, 0, 2)": [0, 0, 0.1, 0.1],
    "ConstantLR(opt, 0.5, 0)": [0.1, 0.1, 0.1],
    "LinearLR(opt, total_iters=0)": [0.1, 0.1, 0.1],
    "MultiStepLR(opt, tensor([1, 3]), 0.5)": [0.1, 0.05, 0.05, 0.025],
    "OneCycleLR(opt, 0.1, 1)": [4e-7],
    "OneCycleLR(opt, 0.1, 2)": [0.1, 4e-7],
    "OneCycleLR(opt, 0.1, 3, pct_start=0)": [0.1, 0.0500002, 4e-7],
    "SequentialLR(used, [warm, decay], [0])": [0.1, 0.1, 0.01, 0.01, 0.001],
    "SequentialLR(used, [warm, plateau], [2])": [0.05, 0.05, 0.1, 0.1, 0.01],
    "ChainedScheduler([warm, plateau])": [0.05, 0.05, 0.005, 0.001],
}
"""Calls that mean something, at which torch fails or goes astray: the rates that are right."""


class Half:
    """A function with a short text, for messages."""

    def __repr__(self):
        return "half"

    def __call__(self, epoch):
        return 0.5 ** (epoch // 2)


def names(library, dtype=None):
    """What the calls speak of, all of it new: schedulers of one library, and optimizers."""
    kinds = {name: getattr(library, name) for name in theirs.__all__}
    opt, two, used, other = (
        sgd(*rates, momentum=0.9, dtype=dtype) for rates in ((0.1,), (0.1, 0.2), (0.1,), (0.1,))
    )
    descending, resumed = sgd(0.1), sgd(0.1)
    descending.param_groups[0]["lr"] = -0.1  # set by hand; the optimizer would refuse it
    resumed.param_groups[0]["initial_lr"] = 0.2
    return kinds | {
        "SWALR": ours.SWALR if library is ours else SWALR,
        "opt": opt,
        "two": two,
        "used": used,
        "other": other,
        "plain": sgd(0.1),
        "adam": adamw(0.1),
        "adagrad": torch.optim.Adagrad([torch.zeros(1, requires_grad=True)], lr=0.1),
        "descending": descending,
        "resumed": resumed,
        "warm": kinds["ConstantLR"](used, 0.5, 3),
        "decay": kinds["StepLR"](used, 2),
        "tail": kinds["ExponentialLR"](used, 0.9),
        "plateau": kinds["ReduceLROnPlateau"](used, patience=0),
        "alien": kinds["StepLR"](other, 2),
        "SGD": torch.optim.SGD,
        "Counter": Counter,
        "Decimal": Decimal,
        "Fraction": Fraction,
        "float64": torch.float64,
        "half": Half(),
        "inf": inf,
        "nan": nan,
        "np": np,
        "tensor": torch.tensor,
    }


def contents(known):
    """All that the optimizers' groups hold: the objects, and what they are worth."""
    return [
        {key: (id(value), repr(value)) for key, value in group.items()}
        for optimizer in known.values()
        if isinstance(optimizer, torch.optim.Optimizer)
        for group in optimizer.param_groups
    ]


def trace(scheduler, steps=12):
    """The rates and momenta of a short run."""
    found = []
    for i in range(steps):
        for group in scheduler.optimizer.param_groups:
            momentum = group["betas"][0] if "betas" in group else group.get("momentum", 0)
            found += [float(group["lr"]), float(momentum)]
        scheduler.optimizer.step()
        if isinstance(scheduler, theirs.ReduceLROnPlateau):
            scheduler.step([1.0, 0.5, 0.4999, 0.7][min(i, 3)])
        elif isinstance(scheduler, (ours.SequentialLR, ours.ChainedScheduler)):
            scheduler.step(1.0)
        else:
            scheduler.step()
    return found


def called(call):
    """The name of the class that is called."""
    return call.partition("(")[0]


TABLE, KEPT = rows(REFUSED), [call for call, _ in rows(ODD)]
BAD = pytest.mark.parametrize(("call", "message"), TABLE, ids=[call[:60] for call, _ in TABLE])


def refusal(call, known):
    """What a call raises, if anything."""
    try:
        eval(call, known)  # noqa: S307 - the calls are ours
    except Exception as error:  # noqa: BLE001 - whichever; the callers look at it
        return error
    return None


@BAD
def test_nonsense_is_refused(call, message):
    """The class and the text of the error are those of the table, to the letter."""
    error = refusal(call, names(ours))
    assert f"{type(error).__name__}: {error}" == message
    assert error.__cause__ is None
    if not isinstance(error, KeyError):
        assert isinstance(error, ArgumentError)
        assert message.startswith("ArgumentTypeError") == isinstance(error, TypeError)
        assert type(error) in (ArgumentError, ArgumentTypeError)


@BAD
def test_a_handler_written_for_torch_catches_it(call, message):
    """Where torch refuses, ours is an error of that type, too."""
    error = refusal(call, names(theirs))
    if isinstance(error, KeyError):  # torch looks for `initial_lr` first
        assert "last_epoch" in message
    elif isinstance(error, (TypeError, ValueError)):  # others say that it did not look
        assert isinstance(refusal(call, names(ours)), type(error))


@pytest.mark.parametrize("dtype", [None, torch.float64], ids=["float", "tensor"])
@BAD
def test_a_refused_call_leaves_no_trace(call, message, dtype):
    """The groups are as they were, and a good call then gives what it gives at first."""
    known, valid = names(ours, dtype), VALID[called(call)]
    before = contents(known)
    assert refusal(call, known)
    assert contents(known) == before
    fresh = eval(valid, names(ours, dtype))  # noqa: S307
    assert trace(eval(valid, known)) == trace(fresh)  # noqa: S307


@pytest.mark.parametrize("call", KEPT)
def test_oddities_are_kept(call):
    """They give torch's rates and momenta."""
    expected = trace(eval(call, names(theirs)))  # noqa: S307
    assert trace(eval(call, names(ours))) == pytest.approx(expected, rel=1e-12, abs=1e-15)  # noqa: S307
    assert all(map(math.isfinite, expected))


@pytest.mark.parametrize(("call", "expected"), PUT_RIGHT.items())
def test_oddities_at_which_torch_fails_are_right(call, expected):
    """They mean something, which is what they give."""
    rates = trace(eval(call, names(ours)), len(expected))[::2]  # noqa: S307
    assert rates == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("wrong", ["text", None, torch.optim.SGD])
@pytest.mark.parametrize("name", [name for name in VALID if name != "ChainedScheduler"])
def test_every_class_asks_for_an_optimizer(name, wrong):
    """What was given in its place is named in the error, as in torch's."""
    error = refusal(VALID[name], names(ours) | {"opt": wrong, "used": wrong})
    assert str(error) == f"{type(wrong).__name__} is not an Optimizer"
    assert isinstance(error, ArgumentTypeError)


FAILING = {
    "LambdaLR(opt, lambda epoch: 1 / 0)": ZeroDivisionError,
    "LambdaLR(two, [half, lambda: 1.0])": TypeError,
    "LambdaLR(opt, lambda epoch: {}[epoch])": KeyError,
    "CyclicLR(opt, 0.01, 0.1, 3, scale_fn=lambda cycle: [][cycle])": IndexError,
    "CyclicLR(adam, 0.01, 0.1, 3, scale_fn=lambda: 1.0)": TypeError,
}
"""Calls with functions that fail."""


@pytest.mark.parametrize(("call", "error"), FAILING.items())
def test_a_function_that_fails_leaves_no_trace(call, error):
    """Its error comes through as it is."""
    known = names(ours)
    before = contents(known)
    assert type(refusal(call, known)) is error
    assert contents(known) == before


def test_what_a_function_returns_is_checked_on_the_way():
    """No call is made for the sake of a check: functions may count."""
    known, asked = names(ours), []

    def counting(epoch):
        asked.append(epoch)
        return 1.0

    scheduler = known["LambdaLR"](known["opt"], counting)
    trace(scheduler, 3)
    assert asked == [0, 1, 2, 3]


FREE = {"self", "optimizer", "verbose", "cycle_momentum", "three_phase", "hold"}
"""Parameters that have no wrong value of their own, and the optimizer."""


@pytest.mark.parametrize("name", VALID)
def test_every_parameter_is_in_the_table(name):
    """No parameter goes unchecked: each is named in an error."""
    texts = [message for call, message in TABLE if called(call) == name]
    for parameter in inspect.signature(getattr(ours, name).__init__).parameters.keys() - FREE:
        named = re.compile(rf"\b{parameter}\b")
        assert any(map(named.search, texts)), parameter


def test_the_tables_hold_no_call_twice():
    calls = [call for call, _ in TABLE] + KEPT + list(PUT_RIGHT)
    assert len(calls) == len(set(calls))
    assert all(message for _, message in TABLE)


METRICS = """
nan
    ArgumentError: ReduceLROnPlateau.step: 'metrics' must not be NaN (got nan)
np.float32(nan)
    ArgumentError: ReduceLROnPlateau.step: 'metrics' must not be NaN (got np.float32(nan))
tensor(nan)
    ArgumentError: ReduceLROnPlateau.step: 'metrics' must not be NaN (got tensor(nan))
None
    ArgumentTypeError: ReduceLROnPlateau.step: 'metrics' must be a number (got None)
"0.5"
    ArgumentTypeError: ReduceLROnPlateau.step: 'metrics' must be a number (got '0.5')
[0.5]
    ArgumentTypeError: ReduceLROnPlateau.step: 'metrics' must be a number (got [0.5])
1j
    ArgumentTypeError: ReduceLROnPlateau.step: 'metrics' must be a number (got 1j)
tensor([1, 2])
    ArgumentTypeError: ReduceLROnPlateau.step: 'metrics' must be a number (got tensor([1, 2]))
"""


@pytest.mark.parametrize(("metric", "message"), rows(METRICS))
def test_a_metric_that_is_none_is_refused(metric, message):
    """The error names the metric, and the step has not been made; torch's handlers catch it."""
    known = names(ours)
    plateau, metric = known["plateau"], eval(metric, known)  # noqa: S307
    plateau.step(0.5)
    state, before = plateau.state_dict(), contents(known)
    error = refusal("plateau.step(metric)", known | {"metric": metric})
    assert f"{type(error).__name__}: {error}" == message
    assert plateau.state_dict() == state
    assert contents(known) == before
    if metric is not None:
        chain = ours.ChainedScheduler([plateau])
        assert str(refusal("step(metric)", {"step": chain.step, "metric": metric})) == str(error)
    torchs = refusal("plateau.step(metric)", names(theirs) | {"metric": metric})
    assert torchs is None or isinstance(error, type(torchs))


@pytest.mark.parametrize("metric", [inf, -inf, True, 0, np.float32(1), torch.tensor([1.0])])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_an_odd_metric_counts_as_in_torch(metric, mode):
    """An infinite loss is a bad one; a metric need not be a float."""
    rates = []
    for library in (ours, theirs):
        optimizer = sgd(0.1)
        plateau = library.ReduceLROnPlateau(optimizer, mode, patience=1)
        rates.append([])
        for value in (0.5, metric, metric, metric):
            plateau.step(value)
            rates[-1].append(optimizer.param_groups[0]["lr"])
    assert rates[0] == rates[1]


EPOCHS = """
-1
    ValueError: Expected non-negative epoch, but got -1
-0.5
    ValueError: Expected non-negative epoch, but got -0.5
nan
    ValueError: Expected non-negative epoch, but got nan
-inf
    ValueError: Expected non-negative epoch, but got -inf
"""


@pytest.mark.parametrize("name", sorted(VALID.keys() - {"ReduceLROnPlateau"}))
@pytest.mark.parametrize(("epoch", "message"), rows(EPOCHS))
@pytest.mark.filterwarnings("ignore:The epoch parameter:UserWarning")
def test_an_epoch_that_is_none_is_refused(name, epoch, message):
    """`step(epoch)` says so before anything has changed."""
    known = names(ours)
    scheduler = eval(VALID[name], known)  # noqa: S307
    if isinstance(scheduler, (ours.SequentialLR, ours.ChainedScheduler)):
        return  # whose steps take a metric
    scheduler.optimizer.step()
    scheduler.step()
    before = contents(known)
    error = refusal(f"step({epoch})", known | {"step": scheduler.step})
    assert f"{type(error).__name__}: {error}" == message
    assert contents(known) == before
    assert scheduler.last_epoch == 1
