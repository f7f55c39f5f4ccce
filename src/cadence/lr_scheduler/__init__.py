"""torch's names over Cadence's engine: `import cadence.lr_scheduler as lr_scheduler`.

A script written for `torch.optim.lr_scheduler` (torch 2.13) runs unchanged and with the same
numbers; `docs/torch-differences.md` lists where torch is wrong and this module is not.
"""

from cadence.lr_scheduler._base import EPOCH_DEPRECATION_WARNING, LRScheduler, _LRScheduler
from cadence.lr_scheduler._composites import ChainedScheduler, SequentialLR
from cadence.lr_scheduler._cycles import CyclicLR, OneCycleLR
from cadence.lr_scheduler._functions import LambdaLR, MultiplicativeLR
from cadence.lr_scheduler._leaves import (
    SWALR,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from cadence.lr_scheduler._plateau import ReduceLROnPlateau

__all__ = [
    "EPOCH_DEPRECATION_WARNING",
    "SWALR",
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "_LRScheduler",
]
