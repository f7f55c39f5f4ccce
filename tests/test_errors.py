"""Bad calls, each with the exact message: where, what is demanded, what was given, what to type.

Each table is a text: a call, and indented under it the last line of the traceback. But for those
about questions and evaluation, the calls only construct: nothing is left to fail at a later step.
"""

import dataclasses
from fractions import Fraction
from math import inf, nan

import pytest
from numpy import array
from torch import tensor

import cadence as cd
from cadence import Schedule, recipes
from cadence.algebra import Sequence
from cadence.errors import ArgumentError, CadenceError, UnresolvedError
from cases import ABSTRACT, three_halvings

SHAPES = """
Linear(-9)
    ArgumentError: Linear: 'steps' must be >= 0 (got -9)
Linear(500.0)
    ArgumentTypeError: Linear: 'steps' must be a whole number of steps or a duration such as
        '5%', '3ep', '4Ksamples' or '2Btok' (got 500.0); write 500
Linear(2.5)
    ArgumentTypeError: Linear: 'steps' must be a whole number of steps or a duration such as
        '5%', '3ep', '4Ksamples' or '2Btok' (got 2.5)
Linear(True)
    ArgumentTypeError: Linear: 'steps' must be a whole number of steps or a duration such as
        '5%', '3ep', '4Ksamples' or '2Btok' (got True)
Linear(nan)
    ArgumentTypeError: Linear: 'steps' must be a whole number of steps or a duration such as
        '5%', '3ep', '4Ksamples' or '2Btok' (got nan)
Linear(inf)
    ArgumentTypeError: Linear: 'steps' must be a whole number of steps or a duration such as
        '5%', '3ep', '4Ksamples' or '2Btok' (got inf)
Linear([500])
    ArgumentTypeError: Linear: 'steps' must be a whole number of steps or a duration such as
        '5%', '3ep', '4Ksamples' or '2Btok' (got [500])
Linear("500")
    ArgumentError: Linear: 'steps' must be a whole number of steps or a duration such as '5%',
        '3ep', '4Ksamples' or '2Btok' (got '500'); write 500
Linear("5k")
    ArgumentError: Linear: 'steps' must be a whole number of steps or a duration such as '5%',
        '3ep', '4Ksamples' or '2Btok' (got '5k')
Linear("-5%")
    ArgumentError: Linear: 'steps' must be a whole number of steps or a duration such as '5%',
        '3ep', '4Ksamples' or '2Btok' (got '-5%')
Linear("101%")
    ArgumentError: Linear: 'steps' must be at most '100%' (got '101%')
Linear("5 parsecs")
    ArgumentError: Linear: 'steps' must be a whole number of steps or a duration such as '5%',
        '3ep', '4Ksamples' or '2Btok' (got '5 parsecs')
Linear("2.5 steps")
    ArgumentError: Linear: 'steps' must be whole steps (got '2.5 steps')
Linear("9" * 70 + "tok")
    ArgumentError: Linear: 'steps' must be a whole number of steps or a duration such as '5%',
        '3ep', '4Ksamples' or '2Btok' (got
        '9999999999999999999999999999999999999999999999999999999999999999999999tok')
Linear(2**53 + 1)
    ArgumentError: Linear: 'steps' must be <= 2**53 (got 9007199254740993)
Linear(10**5000)
    ArgumentError: Linear: 'steps' must be <= 2**53 (got a huge number)
Linear(10, start=nan)
    ArgumentError: Linear: 'start' must be finite (got nan)
Linear(10, start="1.0")
    ArgumentTypeError: Linear: 'start' must be a number (got '1.0')
Linear(10, end=inf)
    ArgumentError: Linear: 'end' must be finite (got inf)
Linear(10, end=True)
    ArgumentTypeError: Linear: 'end' must be a number (got True)
Linear(10, end=None)
    ArgumentTypeError: Linear: 'end' must be a number (got None)
Linear(10, end=1j)
    ArgumentTypeError: Linear: 'end' must be a number (got 1j)
Linear(10, end=10**400)
    ArgumentError: Linear: 'end' must be finite (got
        100000000000000000000000000000000000000000000000000000000000...00000000000000000000)
absolute("1e-3")
    ArgumentTypeError: absolute: 'value' must be a number (got '1e-3')
absolute(inf)
    ArgumentError: absolute: 'value' must be finite (got inf)
Cosine(10, k=0)
    ArgumentError: Cosine: 'k' must be > 0 (got 0)
Cosine(10, k=-1)
    ArgumentError: Cosine: 'k' must be > 0 (got -1)
Cosine(10, k=nan)
    ArgumentError: Cosine: 'k' must be finite (got nan)
Cosine(10, k=None)
    ArgumentTypeError: Cosine: 'k' must be a number (got None)
Warmup(-1)
    ArgumentError: Warmup: 'steps' must be >= 0 (got -1)
Warmup(10, shape="exp")
    ArgumentError: Warmup: 'shape' must be one of 'linear', 'cosine' (got 'exp')
Warmup(10, shape="cosin")
    ArgumentError: Warmup: 'shape' must be one of 'linear', 'cosine' (got 'cosin'); did you mean
        'cosine'?
Warmup(10, shape=None)
    ArgumentError: Warmup: 'shape' must be one of 'linear', 'cosine' (got None)
Geometric(10, end=0)
    ArgumentError: Geometric: 'end' must not be 0 (got 0)
Geometric(10, end=absolute(0))
    ArgumentError: Geometric: 'end' must not be 0 (got absolute(0))
Geometric(10, start=0, end=1)
    ArgumentError: Geometric: 'start' must not be 0 (got 0)
Geometric(10, start=1, end=-0.1)
    ArgumentError: Geometric: 'start' and 'end' must be non-zero, of one sign and of one kind
        (got 1 and -0.1); give both as multiples or both as absolute(...)
Geometric(10, start=1, end=absolute(0.1))
    ArgumentError: Geometric: 'start' and 'end' must be non-zero, of one sign and of one kind
        (got 1 and absolute(0.1)); give both as multiples or both as absolute(...)
Polynomial(10, power=0)
    ArgumentError: Polynomial: 'power' must be > 0 (got 0)
Polynomial(10, power="2")
    ArgumentTypeError: Polynomial: 'power' must be a number (got '2')
Cosine(10, power=0)
    ArgumentError: Cosine: 'power' must be > 0 (got 0)
Polynomial(10, k=-1)
    ArgumentError: Polynomial: 'k' must be > 0 (got -1)
Exponential(10, ratio=0)
    ArgumentError: Exponential: 'ratio' must be > 0 (got 0)
Exponential(10, ratio=1)
    ArgumentError: Exponential: 'ratio' must not be 1 (got 1); write Linear(...)
Rex(10, alpha=1)
    ArgumentError: Rex: 'alpha' must be <= 0.999999 (got 1)
Rex(10, alpha=-0.1)
    ArgumentError: Rex: 'alpha' must be >= 0 (got -0.1)
Tanh(10, lower=3, upper=-3)
    ArgumentError: Tanh: 'upper' must be > 'lower' (got -3 and 3)
Tanh(10, lower=1, upper=1)
    ArgumentError: Tanh: 'upper' must be > 'lower' (got 1 and 1)
Tanh(10, lower=30, upper=40)
    ArgumentError: Tanh: 'lower' and 'upper' must span at least 0.001 of the tangent's range
        (got 30 and 40); -6 and 3 are usual
Tanh(10, upper=nan)
    ArgumentError: Tanh: 'upper' must be finite (got nan)
Logarithmic(10, scale=0)
    ArgumentError: Logarithmic: 'scale' must be >= 1e-09 (got 0)
Hyperbolic(10, upper=0.5)
    ArgumentError: Hyperbolic: 'upper' must be >= 1 (got 0.5)
Hyperbolic(10, upper=inf)
    ArgumentError: Hyperbolic: 'upper' must be finite (got inf)
Hold(-1)
    ArgumentError: Hold: 'steps' must be >= 0 (got -1)
Hold(1.0)
    ArgumentTypeError: Hold: 'steps' must be a whole number of steps or a duration such as '5%',
        '3ep', '4Ksamples' or '2Btok' (got 1.0); write 1
Hold(0.5)
    ArgumentTypeError: Hold: 'steps' must be a whole number of steps or a duration such as '5%',
        '3ep', '4Ksamples' or '2Btok' (got 0.5)
Constant("0.5")
    ArgumentTypeError: Constant: 'level' must be a number (got '0.5')
Constant(0.5, -1)
    ArgumentError: Constant: 'steps' must be >= 0 (got -1)
Constant(nan)
    ArgumentError: Constant: 'level' must be finite (got nan)
StepDecay(0)
    ArgumentError: StepDecay: 'every' must be > 0 (got 0)
StepDecay(-2.5)
    ArgumentError: StepDecay: 'every' must be > 0 (got -2.5)
StepDecay(inf)
    ArgumentError: StepDecay: 'every' must be finite (got inf)
StepDecay(True)
    ArgumentTypeError: StepDecay: 'every' must be a number of steps or a duration such as '5%',
        '3ep', '4Ksamples' or '2Btok' (got True)
StepDecay("0ep")
    ArgumentError: StepDecay: 'every' must be > 0 (got '0ep')
StepDecay(30, -0.5)
    ArgumentError: StepDecay: 'factor' must be >= 0 (got -0.5)
StepDecay(30, nan)
    ArgumentError: StepDecay: 'factor' must be finite (got nan)
StepDecay(30, 0.1, steps=-1)
    ArgumentError: StepDecay: 'steps' must be >= 0 (got -1)
MultiStepDecay(30)
    ArgumentTypeError: MultiStepDecay: 'milestones' must be a sequence of steps or durations
        (got 30); write (30, 60)
MultiStepDecay("30")
    ArgumentTypeError: MultiStepDecay: 'milestones' must be a sequence of steps or durations
        (got '30'); write (30, 60)
MultiStepDecay((80, 30))
    ArgumentError: MultiStepDecay: 'milestones' must be in rising order (got (80, 30)); write
        (30, 80)
MultiStepDecay((30, -1))
    ArgumentError: MultiStepDecay: 'milestones' must be >= 0 (got -1)
MultiStepDecay((30, 60.0))
    ArgumentTypeError: MultiStepDecay: 'milestones' must be a whole number of steps or a
        duration such as '5%', '3ep', '4Ksamples' or '2Btok' (got 60.0); write 60
MultiStepDecay((30,), factor=-1)
    ArgumentError: MultiStepDecay: 'factor' must be >= 0 (got -1)
ExponentialDecay(-0.9)
    ArgumentError: ExponentialDecay: 'factor' must be >= 0 (got -0.9)
ExponentialDecay(0.9, per=0)
    ArgumentError: ExponentialDecay: 'per' must be > 0 (got 0)
InverseTime(0)
    ArgumentError: InverseTime: 'timescale' must be > 0 (got 0)
InverseTime(-5)
    ArgumentError: InverseTime: 'timescale' must be > 0 (got -5)
InverseSqrt(0)
    ArgumentError: InverseSqrt: 'timescale' must be > 0 (got 0)
InverseSqrt(None)
    ArgumentTypeError: InverseSqrt: 'timescale' must be a number of steps or a duration such as
        '5%', '3ep', '4Ksamples' or '2Btok' (got None)
PowerLaw(0)
    ArgumentError: PowerLaw: 'timescale' must be > 0 (got 0)
CosineWave(0)
    ArgumentError: CosineWave: 'period' must be > 0 (got 0)
CosineWave(-2.5)
    ArgumentError: CosineWave: 'period' must be > 0 (got -2.5)
CosineWave(nan)
    ArgumentError: CosineWave: 'period' must be finite (got nan)
CosineWave(None)
    ArgumentTypeError: CosineWave: 'period' must be a number of steps or a duration such as
        '5%', '3ep', '4Ksamples' or '2Btok' (got None)
CosineWave("0ep")
    ArgumentError: CosineWave: 'period' must be > 0 (got '0ep')
CosineWave(10) >> Linear(5)
    ArgumentError: Sequence: an endless phase may only be the last (got CosineWave(10) before
        Linear(5)); give it steps
PowerLaw(100, exponent=inf)
    ArgumentError: PowerLaw: 'exponent' must be finite (got inf)
PiecewiseLinear(())
    ArgumentError: PiecewiseLinear: 'points' must hold at least one pair (got ())
PiecewiseLinear(5)
    ArgumentTypeError: PiecewiseLinear: 'points' must be pairs of step and level (got 5); write
        ((0, 0.1), (100, 1))
PiecewiseLinear((1, 2, 3))
    ArgumentTypeError: PiecewiseLinear: 'points' must be pairs of step and level (got (1, 2,
        3)); write ((0, 0.1), (100, 1))
PiecewiseLinear({0: 1})
    ArgumentTypeError: PiecewiseLinear: 'points' must be pairs of step and level (got {0: 1});
        write ((0, 0.1), (100, 1))
PiecewiseLinear(((0, 1), (10,)))
    ArgumentTypeError: PiecewiseLinear: 'points' must be pairs of step and level (got ((0, 1),
        (10,))); write ((0, 0.1), (100, 1))
PiecewiseLinear(((10, 1), (0, 0)))
    ArgumentError: PiecewiseLinear: 'points' must be in rising order of steps (got ((10, 1), (0,
        0)))
PiecewiseLinear(((0, 1), (-1, 0)))
    ArgumentError: PiecewiseLinear: 'points' must be in rising order of steps (got ((0, 1), (-1,
        0)))
PiecewiseLinear(((0, 1), (inf, 0)))
    ArgumentError: PiecewiseLinear: 'points' must be finite (got inf)
PiecewiseLinear(((0, 1), (True, 0)))
    ArgumentTypeError: PiecewiseLinear: 'points' must be a whole number of steps or a duration
        such as '5%', '3ep', '4Ksamples' or '2Btok' (got True)
PiecewiseCosine(((2.5, 1), (2, 0)))
    ArgumentError: PiecewiseCosine: 'points' must be in rising order of steps (got ((2.5, 1),
        (2, 0)))
PiecewiseRamp((), Cosine())
    ArgumentError: PiecewiseRamp: 'points' must hold at least one pair (got ())
PiecewiseRamp(((0, 1), (5, 0)), "Tanh")
    ArgumentTypeError: PiecewiseRamp: 'ramp' must be a ramp that has a curve (got 'Tanh'); write
        Cosine()
PiecewiseRamp(((0, 1), (5, 0)), Geometric(end=1))
    ArgumentTypeError: PiecewiseRamp: 'ramp' must be a ramp that has a curve (got
        Geometric(end=1)); write Cosine()
PiecewiseRamp(((0, 1), (5, 0)), Tanh(20))
    ArgumentError: PiecewiseRamp: 'ramp' must have no length and no levels, which the points
        give (got Tanh(20))
PiecewiseRamp(((0, 1), (5, 0)), Cosine(end=0.1))
    ArgumentError: PiecewiseRamp: 'ramp' must have no length and no levels, which the points
        give (got Cosine(end=0.1))
PiecewiseLinear(((0, 1), (5, nan)))
    ArgumentError: PiecewiseLinear: 'points' must be finite (got nan)
Function(0.5)
    ArgumentTypeError: Function: 'function' must be a callable (got 0.5)
Function("no_such_name")
    ArgumentError: Function: 'function' must be a callable or a registered name (got
        'no_such_name'); register it with @cadence.register
Function("three_halving")
    ArgumentError: Function: 'function' must be a callable or a registered name (got
        'three_halving'); did you mean 'three_halvings'?; register it with @cadence.register
Function(three_halvings, steps=-1)
    ArgumentError: Function: 'steps' must be >= 0 (got -1)
register(5)
    ArgumentTypeError: register: 'function' must be a callable (got 5)
register(lambda step: 1.0)
    ArgumentError: register: 'name' must be an identifier (got '<lambda>')
register(three_halvings, name="two words")
    ArgumentError: register: 'name' must be an identifier (got 'two words')
register(three_halvings, name=5)
    ArgumentError: register: 'name' must be an identifier (got 5)
Ramp(10)
    ArgumentTypeError: Ramp: a ramp must define curve(self, u, xp)
Decay()
    ArgumentTypeError: Decay: a decay must define decay(self, t, xp)
Cosine(absolute(10))
    ArgumentTypeError: Cosine: 'steps' must be a whole number of steps or a duration such as
        '5%', '3ep', '4Ksamples' or '2Btok' (got absolute(10))
"""

COMPOSITIONS = """
Linear(10) >> 0.5
    ArgumentTypeError: '>>' joins schedules (got 0.5); write Constant(0.5)
0.5 >> Linear(10)
    ArgumentTypeError: '>>' joins schedules (got 0.5); write Constant(0.5)
Linear(10) >> "Cosine(5)"
    ArgumentTypeError: '>>' joins schedules (got 'Cosine(5)'); write parse('Cosine(5)')
Linear(10) >> absolute(0.5)
    ArgumentTypeError: '>>' joins schedules (got absolute(0.5))
Linear(10) >> None
    ArgumentTypeError: '>>' joins schedules (got None)
Sequence((Linear(10),))
    ArgumentError: Sequence: 'parts' must be at least two schedules (got (Linear(10),))
Sequence((Linear(10), 5))
    ArgumentTypeError: Sequence: 'parts' must be a schedule (got 5)
Sequence(Linear(10))
    ArgumentTypeError: Sequence: 'parts' must be a tuple of schedules (got Linear(10))
Hold() >> Cosine()
    ArgumentError: Sequence: at most one phase may be without a length (got Hold() and
        Cosine()); give all but one of them steps
Linear() >> (Hold(5) >> Cosine())
    ArgumentError: Sequence: at most one phase may be without a length (got Linear() and
        Cosine()); give all but one of them steps
Linear() >> Cosine().clip(0, 1)
    ArgumentError: Sequence: at most one phase may be without a length (got Linear() and
        Cosine().clip(low=0, high=1)); give all but one of them steps
StepDecay(30) >> Cosine(10)
    ArgumentError: Sequence: an endless phase may only be the last (got StepDecay(30) before
        Cosine(10)); give it steps
Linear(10).repeat() >> Hold(5)
    ArgumentError: Sequence: an endless phase may only be the last (got Linear(10).repeat()
        before Hold(5)); give it steps
Warmup(5) >> Hold() >> ExponentialDecay(0.9)
    ArgumentError: Sequence: Hold() takes the rest of the run, so no endless phase can follow
        (got ExponentialDecay(0.9)); give it steps
Linear("60%") >> Cosine("50%")
    ArgumentError: Sequence: the phases must not exceed 100 % of the run (got 110 %)
Warmup("30%") >> Hold() >> Cosine("80%")
    ArgumentError: Sequence: the phases must not exceed 100 % of the run (got 110 %)
Linear(10) >> Geometric(10, end=0.1)
    ArgumentError: Geometric: 'start' and 'end' must be non-zero, of one sign and of one kind
        (got 0 and 0.1); give both as multiples or both as absolute(...)
Constant(absolute(0.1), 5) >> Geometric(10, end=0.1)
    ArgumentError: Geometric: 'start' and 'end' must be non-zero, of one sign and of one kind
        (got absolute(0.1) and 0.1); give both as multiples or both as absolute(...)
Linear(5, end=absolute(0.5)).clip(low=0.2) >> Geometric(10, end=0.1)
    ArgumentError: Geometric: 'start' must be given where the level before depends on the base
        (got None, after a clip); write Geometric(..., start=1)
Linear(2**53) >> Linear(1)
    ArgumentError: Sequence: the plan must come to at most 2**53 steps (got 9007199254740993)
Linear(10) * "2"
    ArgumentTypeError: Product: 'right' must be a number (got '2')
Linear(10) * None
    ArgumentTypeError: Product: 'right' must be a number (got None)
Linear(10) * True
    ArgumentTypeError: Product: 'right' must be a number (got True)
Linear(10) * nan
    ArgumentError: Product: 'right' must be finite (got nan)
Linear(10) * array([1, 2])
    ArgumentTypeError: Product: 'right' must be a number (got array([1, 2]))
array([1, 2]) * Linear(10)
    ArgumentTypeError: Product: 'right' must be a number (got array([1, 2]))
Linear(10) * tensor([1, 2])
    ArgumentTypeError: Product: 'right' must be a number (got tensor([1, 2]))
Linear(10, end=absolute(0.1)) * absolute(2)
    ArgumentError: Product: at most one side may hold absolute levels (got Linear(10,
        end=absolute(0.1)) and absolute(2)); make the levels of one side multiples
Constant(absolute(0.1)) * Linear(10, start=absolute(1))
    ArgumentError: Product: at most one side may hold absolute levels (got
        Constant(absolute(0.1)) and Linear(10, start=absolute(1))); make the levels of one side
        multiples
Linear(10) + "2"
    ArgumentTypeError: Sum: 'right' must be a number (got '2')
Linear(10) + inf
    ArgumentError: Sum: 'right' must be finite (got inf)
Linear(10).clip()
    ArgumentError: clip: 'low' or 'high' must be given (got neither)
Linear(10).clip(low=1, high=0.5)
    ArgumentError: clip: 'low' must be <= 'high' (got 1 > 0.5)
Linear(10).clip(absolute(1), absolute(0.5))
    ArgumentError: clip: 'low' must be <= 'high' (got absolute(1) > absolute(0.5))
Linear(10).clip(low="0.1")
    ArgumentTypeError: clip: 'low' must be a number (got '0.1')
Linear(10).clip(low=nan)
    ArgumentError: clip: 'low' must be finite (got nan)
Linear(10).clip(high=True)
    ArgumentTypeError: clip: 'high' must be a number (got True)
Linear(10).repeat(0)
    ArgumentError: repeat: 'times' must be >= 1 (got 0)
Linear(10).repeat(-1)
    ArgumentError: repeat: 'times' must be >= 1 (got -1)
Linear(10).repeat(2.0)
    ArgumentTypeError: repeat: 'times' must be a whole number (got 2.0); write 2
Linear(10).repeat("3")
    ArgumentTypeError: repeat: 'times' must be a whole number (got '3')
Linear(10).repeat(3, length_mult=0.5)
    ArgumentError: repeat: 'length_mult' must be >= 1 (got 0.5)
Linear(10).repeat(3, length_mult=1.001)
    ArgumentError: repeat: 'length_mult' must be 1 or at least 1.01 (got 1.001)
Linear(10).repeat(3, length_mult=inf)
    ArgumentError: repeat: 'length_mult' must be finite (got inf)
Linear(10).repeat(3, peak_mult=-0.5)
    ArgumentError: repeat: 'peak_mult' must be >= 0 (got -0.5)
Linear(10).repeat(100, length_mult=2)
    ArgumentError: repeat: 'times' must be <= 53 for cycles that grow (got 100)
Linear(10).repeat(51, length_mult=2)
    ArgumentError: repeat: the plan must come to at most 2**53 steps (got 22517998136852470)
Linear(10).repeat(2**53)
    ArgumentError: repeat: the plan must come to at most 2**53 steps (got 90071992547409920)
Linear(10).repeat(3, over=100)
    ArgumentError: repeat: 'over' is for a plan without a length (got Linear(10), which has one)
Linear().repeat()
    ArgumentError: repeat: 'times' must be given, since Linear() has no length of its own; write
        .repeat(4)
Linear("50%").repeat()
    ArgumentError: repeat: 'times' must be given, since Linear('50%') has no length of its own;
        write .repeat(4)
Linear().repeat(3, over=-1)
    ArgumentError: repeat: 'over' must be >= 0 (got -1)
Linear().repeat(20_000, over=100)
    ArgumentError: repeat: 'times' must be <= 10000 for cycles that are fitted to a length (got
        20000)
(Warmup(50) >> Linear()).repeat(3, over=100)
    ArgumentError: Warmup(50) >> Linear(): the phases must fit into the run (they need 50 steps
        of 33); shorten them or lengthen the run
Linear(0).repeat(3)
    ArgumentError: repeat: the plan must have at least 1 step (got Linear(0))
Linear(0).repeat()
    ArgumentError: repeat: the plan must have at least 1 step (got Linear(0))
StepDecay(30).repeat(3)
    ArgumentError: repeat: an endless plan cannot be repeated (got StepDecay(30)); give it steps
Linear(10).stairs(0)
    ArgumentError: stairs: 'every' must be >= 1 (got 0)
Linear(10).stairs("0ep")
    ArgumentError: stairs: 'every' must be > 0 (got '0ep')
Linear(10).stairs(5, each=0)
    ArgumentError: stairs: 'each' must be >= 1 (got 0)
Linear().stairs(5, each=1)
    ArgumentError: stairs: where 'each' is given, the plan must have its lengths in steps of its
        own clock (got Linear(), which is not resolved: a phase without a length takes the rest of
        the run, whose length is not known; write plan.resolve(10_000) or Scheduler(...,
        total_steps=10_000))
Linear(2**50).stairs(16, each=1)
    ArgumentError: stairs: the plan must come to at most 2**53 steps (got 18014398509481984)
Linear(10).stairs(2.5)
    ArgumentTypeError: stairs: 'every' must be a whole number of steps or a duration such as '5%',
        '3ep', '4Ksamples' or '2Btok' (got 2.5)
Linear(10).part(-1)
    ArgumentError: part: 'start' must be >= 0 (got -1)
Linear(10).part(2.0)
    ArgumentTypeError: part: 'start' must be a whole number (got 2.0); write 2
Linear(10).part(None)
    ArgumentTypeError: part: 'start' must be a whole number (got None)
Linear(10).part("10%")
    ArgumentTypeError: part: 'start' must be a whole number, a step of the plan (got '10%');
        only 'steps' may be a duration
Linear(10).part(0, "3ep")
    ArgumentTypeError: part: 'stop' must be a whole number, a step of the plan (got '3ep');
        only 'steps' may be a duration
Linear(10).part(0, Duration(5, "ep"))
    ArgumentTypeError: part: 'stop' must be a whole number, a step of the plan (got '5ep');
        only 'steps' may be a duration
Linear(10).part(0, True)
    ArgumentTypeError: part: 'stop' must be a whole number (got True)
Linear(10).part(0, 2**53 + 1)
    ArgumentError: part: 'stop' must be <= 2**53 (got 9007199254740993)
Linear(10).part(6, 4)
    ArgumentError: part: 'start' must be <= 'stop' (got 6 > 4)
Linear(10).part(11)
    ArgumentError: part: 'start' must be <= 10, where the plan ends (got 11)
Linear(10).part(0, steps=-1)
    ArgumentError: part: 'steps' must be >= 0 (got -1)
Linear(10).part(0, steps="5 parsecs")
    ArgumentError: part: 'steps' must be a whole number of steps or a duration such as '5%',
        '3ep', '4Ksamples' or '2Btok' (got '5 parsecs')
StepDecay(30).part(60, steps=100)
    ArgumentError: part: 'steps' must not be given without 'stop' for a plan without an end (got
        StepDecay(30)); give it 'stop'
StepDecay(30).part(60) >> Linear(10)
    ArgumentError: Sequence: an endless phase may only be the last (got StepDecay(30).part(60)
        before Linear(10)); give it steps
Cosine().part(5) >> Cosine().part(5)
    ArgumentError: Sequence: the phases must not exceed 100 % of the run (got 200 %)
StepDecay(30).part(60).repeat(3)
    ArgumentError: repeat: an endless plan cannot be repeated (got StepDecay(30).part(60)); give
        it steps
Linear().part(0, 5).repeat()
    ArgumentError: repeat: 'times' must be given, since Linear().part(0, 5) has no length of its
        own; write .repeat(4)
"""

HORIZONS = """
Duration(5, "parsecs")
    ArgumentError: Duration: 'unit' must be one of '%', 'ep', 'samples', 'tok' (got 'parsecs')
Duration(-5, "ep")
    ArgumentError: Duration: 'amount' must be >= 0 (got -5)
Duration(Fraction(1, 3), "%")
    ArgumentError: Duration: 'amount' must be a decimal (got 1/3); round it first
Duration(101, "%")
    ArgumentError: Duration: 'amount' must be at most 100 % (got '101%')
Duration.parse(5)
    ArgumentError: duration: 'steps' must be a whole number of steps or a duration such as '5%',
        '3ep', '4Ksamples' or '2Btok' (got 5)
Duration.parse("")
    ArgumentError: duration: 'steps' must be a whole number of steps or a duration such as '5%',
        '3ep', '4Ksamples' or '2Btok' (got '')
Duration.parse("5 %%")
    ArgumentError: duration: 'steps' must be a whole number of steps or a duration such as '5%',
        '3ep', '4Ksamples' or '2Btok' (got '5 %%')
Horizon(0)
    ArgumentError: Horizon: 'total_steps' must be >= 1 (got 0)
Horizon(-5)
    ArgumentError: Horizon: 'total_steps' must be >= 1 (got -5)
Horizon(1000.0)
    ArgumentTypeError: Horizon: 'total_steps' must be a whole number of steps or a duration such
        as '5%', '3ep', '4Ksamples' or '2Btok' (got 1000.0); write 1000
Horizon(1000.5)
    ArgumentTypeError: Horizon: 'total_steps' must be a whole number of steps or a duration such
        as '5%', '3ep', '4Ksamples' or '2Btok' (got 1000.5)
Horizon(True)
    ArgumentTypeError: Horizon: 'total_steps' must be a whole number of steps or a duration such
        as '5%', '3ep', '4Ksamples' or '2Btok' (got True)
Horizon("50%")
    ArgumentError: Horizon: 'total_steps' must not be a percentage (got '50%')
Horizon("3ep")
    ArgumentError: Horizon: 'total_steps' needs steps_per_epoch (got '3ep'); write
        Horizon('3ep', steps_per_epoch=500)
Horizon("3epoch", samples_per_step=8)
    ArgumentError: Horizon: 'total_steps' needs steps_per_epoch (got '3ep'); write
        Horizon('3ep', steps_per_epoch=500)
Horizon("2Btok")
    ArgumentError: Horizon: 'total_steps' needs tokens_per_step (got '2Btok'); write
        Horizon('2Btok', tokens_per_step=500_000)
Horizon("1Msamples")
    ArgumentError: Horizon: 'total_steps' needs samples_per_step (got '1Msamples'); write
        Horizon('1Msamples', samples_per_step=256)
Horizon(100, steps_per_epoch=0)
    ArgumentError: Horizon: 'steps_per_epoch' must be >= 1 (got 0)
Horizon(100, steps_per_epoch=2.5)
    ArgumentTypeError: Horizon: 'steps_per_epoch' must be a whole number (got 2.5)
Horizon(100, samples_per_step=0)
    ArgumentError: Horizon: 'samples_per_step' must be > 0 (got 0)
Horizon(100, samples_per_step=nan)
    ArgumentError: Horizon: 'samples_per_step' must be finite (got nan)
Horizon(100, tokens_per_step="1k")
    ArgumentTypeError: Horizon: 'tokens_per_step' must be a number (got '1k')
Horizon.from_loader(0)
    ArgumentError: Horizon.from_loader: 'loader' must be >= 1 (got 0)
Horizon.from_loader(10.0)
    ArgumentTypeError: Horizon.from_loader: 'loader' must be a whole number (got 10.0); write 10
Horizon.from_loader(True)
    ArgumentTypeError: Horizon.from_loader: 'loader' must be a whole number (got True)
Horizon.from_loader(iter([1, 2]))
    ArgumentTypeError: Horizon.from_loader: 'loader' must have a length (got list_iterator);
        write Horizon(total_steps) with the number of updates instead
Horizon.from_loader(None)
    ArgumentTypeError: Horizon.from_loader: 'loader' must have a length (got NoneType); write
        Horizon(total_steps) with the number of updates instead
Horizon.from_loader([])
    ArgumentError: Horizon.from_loader: 'loader' must be >= 1 (got 0)
Horizon.from_loader(100, epochs=0)
    ArgumentError: Horizon.from_loader: 'epochs' must be >= 1 (got 0)
Horizon.from_loader(100, epochs=1.5)
    ArgumentTypeError: Horizon.from_loader: 'epochs' must be a whole number (got 1.5)
Horizon.from_loader(100, accumulate=0)
    ArgumentError: Horizon.from_loader: 'accumulate' must be >= 1 (got 0)
Horizon.from_loader(100, world_size=-1)
    ArgumentError: Horizon.from_loader: 'world_size' must be >= 1 (got -1)
Horizon.from_loader(100, samples_per_batch=2.5)
    ArgumentTypeError: Horizon.from_loader: 'samples_per_batch' must be a whole number (got 2.5)
Horizon.from_loader(100, tokens_per_sample=1024)
    ArgumentError: Horizon.from_loader: 'tokens_per_sample' must come with 'samples_per_batch'
        for a loader without a batch size (got 1024 alone)
"""

RESOLVING = """
(Warmup(500) >> Cosine()).resolve(300)
    ArgumentError: Warmup(500) >> Cosine(): the phases must fit into the run (they need 500
        steps of 300); shorten them or lengthen the run
(Linear(100) * Cosine()).resolve(50)
    ArgumentError: Linear(100) * Cosine(): the phases must fit into the run (they need 100 steps
        of 50); shorten them or lengthen the run
Cosine().resolve(0)
    ArgumentError: Horizon: 'total_steps' must be >= 1 (got 0)
Cosine().resolve(100.0)
    ArgumentTypeError: Horizon: 'total_steps' must be a whole number of steps or a duration such
        as '5%', '3ep', '4Ksamples' or '2Btok' (got 100.0); write 100
Cosine().resolve("10%")
    ArgumentError: Horizon: 'total_steps' must not be a percentage (got '10%')
Cosine().resolve(None)
    UnresolvedError: Cosine() is not resolved: a phase without a length takes the rest of the
        run, whose length is not known; write plan.resolve(10_000) or Scheduler(...,
        total_steps=10_000)
Cosine("3ep").resolve(100)
    UnresolvedError: '3ep' needs steps_per_epoch; write plan.resolve(Horizon(10_000,
        steps_per_epoch=500))
Cosine("2Btok").resolve(100)
    UnresolvedError: '2Btok' needs tokens_per_step; write plan.resolve(Horizon(10_000,
        tokens_per_step=500_000))
Cosine("4Ksamples").resolve(Horizon(100, steps_per_epoch=10))
    UnresolvedError: '4Ksamples' needs samples_per_step; write plan.resolve(Horizon(10_000,
        samples_per_step=256))
"""

RECIPES = """
warmup_cosine(-5)
    ArgumentError: Warmup: 'steps' must be >= 0 (got -5)
warmup_cosine(2.5)
    ArgumentTypeError: Warmup: 'steps' must be a whole number of steps or a duration such as
        '5%', '3ep', '4Ksamples' or '2Btok' (got 2.5)
warmup_cosine(warmup_shape="exp")
    ArgumentError: Warmup: 'shape' must be one of 'linear', 'cosine' (got 'exp')
warmup_cosine(None)
    ArgumentError: Sequence: at most one phase may be without a length (got Warmup() and
        Cosine()); give all but one of them steps
warmup_linear(10, end="0")
    ArgumentTypeError: Linear: 'end' must be a number (got '0')
wsd(shape="OneMinusSqr")
    ArgumentError: wsd: 'shape' must be a ramp such as 'Cosine' (got 'OneMinusSqr'); did you
        mean 'OneMinusSqrt'?
wsd(shape="StepDecay")
    ArgumentError: wsd: 'shape' must be a ramp such as 'Cosine' (got 'StepDecay')
wsd(shape=Hold)
    ArgumentError: wsd: 'shape' must be a ramp such as 'Cosine' (got <class
        'cadence.shapes.Hold'>)
wsd(shape=Ramp)
    ArgumentError: wsd: 'shape' must be a ramp such as 'Cosine' (got <class
        'cadence.shapes.Ramp'>)
wsd(shape=5)
    ArgumentError: wsd: 'shape' must be a ramp such as 'Cosine' (got 5)
wsd("60%", "50%")
    ArgumentError: Sequence: the phases must not exceed 100 % of the run (got 110 %)
one_cycle(div=0)
    ArgumentError: one_cycle: 'div' must be > 0 (got 0)
one_cycle(final_div=-1)
    ArgumentError: one_cycle: 'final_div' must be > 0 (got -1)
one_cycle(div=1e-200, final_div=1e-200)
    ArgumentError: Cosine: 'end' must be finite (got inf)
one_cycle(momentum=0.9)
    ArgumentError: one_cycle: 'momentum' must be two numbers, at the ends and at the peak (got
        0.9); write (0.95, 0.85)
one_cycle(momentum=(0.9, 0.8, 0.7))
    ArgumentError: one_cycle: 'momentum' must be two numbers, at the ends and at the peak (got
        (0.9, 0.8, 0.7)); write (0.95, 0.85)
one_cycle(momentum=(0.9, "0.8"))
    ArgumentTypeError: one_cycle: 'momentum' must be a number (got '0.8')
one_cycle("60%", three_phase=True)
    ArgumentError: Sequence: the phases must not exceed 100 % of the run (got 120 %)
one_cycle(None)
    ArgumentError: Sequence: at most one phase may be without a length (got Cosine(start=0.04,
        end=1) and Cosine(end=4e-06)); give all but one of them steps
Cosine().repeat(9000, over="50%").repeat(9000, over=10_000_000)
    ArgumentError: repeat: the cycles must come to at most 131072 phases (got 81000000); repeat
        less often, or give the plan a length of its own
sgdr(0)
    ArgumentError: sgdr: 'first' must be >= 1 (got 0)
sgdr()
    ArgumentError: repeat: 'times' must be given, since Cosine() has no length of its own; write
        .repeat(4)
sgdr(0, warmup=5)
    ArgumentError: sgdr: 'first' must be >= 1 (got 0)
sgdr(10, warmup=20)
    ArgumentError: Warmup(20) >> Cosine(): the phases must fit into the run (they need 20 steps
        of 10); shorten them or lengthen the run
sgdr(10, warmup="3ep")
    ArgumentError: sgdr: 'warmup' must be steps or a percentage of the cycle (got '3ep')
sgdr("10%", warmup=5)
    ArgumentError: sgdr: 'first' must be a number of steps where 'warmup' is given (got '10%')
sgdr(10.0)
    ArgumentTypeError: sgdr: 'first' must be a whole number of steps or a duration such as '5%',
        '3ep', '4Ksamples' or '2Btok' (got 10.0); write 10
sgdr(10.0, warmup=5)
    ArgumentTypeError: sgdr: 'first' must be a whole number of steps or a duration such as '5%',
        '3ep', '4Ksamples' or '2Btok' (got 10.0); write 10
sgdr(10, t_mult=0.5)
    ArgumentError: repeat: 'length_mult' must be >= 1 (got 0.5)
sgdr(10, peak_mult=nan)
    ArgumentError: repeat: 'peak_mult' must be finite (got nan)
triangular(0)
    ArgumentError: repeat: the plan must have at least 1 step (got Linear(0, start=0.1, end=1)
        >> Linear(0, end=0.1))
triangular(-1)
    ArgumentError: Linear: 'steps' must be >= 0 (got -1)
triangular(None)
    ArgumentError: Sequence: at most one phase may be without a length (got Linear(start=0.1,
        end=1) and Linear(end=0.1)); give all but one of them steps
triangular2(2.5)
    ArgumentTypeError: Linear: 'steps' must be a whole number of steps or a duration such as
        '5%', '3ep', '4Ksamples' or '2Btok' (got 2.5)
exp_range(10, factor=-1)
    ArgumentError: ExponentialDecay: 'factor' must be >= 0 (got -1)
exp_range(10, low=absolute(0.1), factor=0.9)
    ArgumentTypeError: exp_range: 'low' must be a number (got absolute(0.1))
noam(0)
    ArgumentError: noam: 'd_model' must be >= 1 (got 0)
noam(512, 0)
    ArgumentError: noam: 'warmup' must be >= 1 (got 0)
noam(512.0)
    ArgumentTypeError: noam: 'd_model' must be a whole number (got 512.0); write 512
noam(512, "4000")
    ArgumentTypeError: noam: 'warmup' must be a whole number (got '4000')
noam(512, factor=0)
    ArgumentError: noam: 'factor' must be > 0 (got 0)
slanted_triangular(ratio=0)
    ArgumentError: slanted_triangular: 'ratio' must be > 0 (got 0)
flat_cosine("nope")
    ArgumentError: Hold: 'steps' must be a whole number of steps or a duration such as '5%',
        '3ep', '4Ksamples' or '2Btok' (got 'nope')
budgeted_linear(end=nan)
    ArgumentError: Linear: 'end' must be finite (got nan)
"""

QUESTIONS = """
Linear(10)(-1)
    ArgumentError: plan: 'step' must be finite and >= 0 (got -1)
Linear(10)(nan)
    ArgumentError: plan: 'step' must be finite and >= 0 (got nan)
Linear(10)(inf)
    ArgumentError: plan: 'step' must be finite and >= 0 (got inf)
Linear(10)("5")
    ArgumentTypeError: plan: 'step' must be a number or a NumPy, torch or JAX array (got '5')
Linear(10)(None)
    ArgumentTypeError: plan: 'step' must be a number or a NumPy, torch or JAX array (got None)
Linear(10)([1, 2])
    ArgumentTypeError: plan: 'step' must be a number or a NumPy, torch or JAX array (got [1, 2])
Linear(10)(1j)
    ArgumentTypeError: plan: 'step' must be a number or a NumPy, torch or JAX array (got 1j)
Linear(10)(array([0, -1]))
    ArgumentError: plan: 'step' must be finite and >= 0 (got -1.0)
Linear(10)(array([1.0, nan]))
    ArgumentError: plan: 'step' must be finite and >= 0 (got nan)
Linear(10)(array(["a"]))
    ArgumentTypeError: plan: 'step' must hold real numbers (got dtype <U1)
Linear(10)(array([1j]))
    ArgumentTypeError: plan: 'step' must hold real numbers (got dtype complex128)
Linear(10)(tensor([1.0, inf]))
    ArgumentError: plan: 'step' must be finite and >= 0 (got inf)
Linear(10)(tensor([1j]))
    ArgumentTypeError: plan: 'step' must hold real numbers (got torch.complex64)
Linear(10)(0, base=None)
    ArgumentTypeError: plan: 'base' must be a number or a NumPy, torch or JAX array (got None)
Linear(10)(0, base="0.1")
    ArgumentTypeError: plan: 'base' must be a number or a NumPy, torch or JAX array (got '0.1')
Linear(10)(0, base=nan)
    ArgumentError: plan: 'base' must be finite (got nan)
Linear(10)(0, base=True)
    ArgumentTypeError: plan: 'base' must be a number (got True)
Linear(10).values(-1)
    ArgumentError: values: 'n' must be >= 0 (got -1)
Linear(10).values(2.0)
    ArgumentTypeError: values: 'n' must be a whole number (got 2.0); write 2
Linear(10).area(-1, 5)
    ArgumentError: area: 'a' must be >= 0 (got -1)
Linear(10).area(5, 2)
    ArgumentError: area: 'b' must be >= 5 (got 2)
Linear(10).area(0, 2.5)
    ArgumentTypeError: area: 'b' must be a whole number (got 2.5)
Linear(10).first_below(nan)
    ArgumentError: first_below: 'level' must be finite (got nan)
Linear(10).first_below(absolute(0.5))
    ArgumentTypeError: first_below: 'level' must be a number (got absolute(0.5))
Linear(10).first_below(0.5, within=-1)
    ArgumentError: first_below: 'within' must be >= 0 (got -1)
"""

UNRESOLVED = """
Linear("5%")(0)
    UnresolvedError: Linear('5%') is not resolved: '5%' needs the length of the run; write
        plan.resolve(10_000)
Linear("3ep")(0)
    UnresolvedError: Linear('3ep') is not resolved: '3ep' needs steps_per_epoch; write
        plan.resolve(Horizon(10_000, steps_per_epoch=500))
Linear("2Btok")(0)
    UnresolvedError: Linear('2Btok') is not resolved: '2Btok' needs tokens_per_step; write
        plan.resolve(Horizon(10_000, tokens_per_step=500_000))
Linear("4Ksamples")(0)
    UnresolvedError: Linear('4Ksamples') is not resolved: '4Ksamples' needs samples_per_step;
        write plan.resolve(Horizon(10_000, samples_per_step=256))
Linear()(0)
    UnresolvedError: Linear() is not resolved: a phase without a length takes the rest of the
        run, whose length is not known; write plan.resolve(10_000) or Scheduler(...,
        total_steps=10_000)
(Warmup(5) >> Hold() >> Linear(5))(0)
    UnresolvedError: Warmup(5) >> Hold() >> Linear(5) is not resolved: a phase without a length
        takes the rest of the run, whose length is not known; write plan.resolve(10_000) or
        Scheduler(..., total_steps=10_000)
(Warmup("5%") >> Cosine(10))(0)
    UnresolvedError: Warmup('5%') >> Cosine(10) is not resolved: '5%' needs the length of the
        run; write plan.resolve(10_000)
StepDecay("1ep")(array([1]))
    UnresolvedError: StepDecay('1ep') is not resolved: '1ep' needs steps_per_epoch; write
        plan.resolve(Horizon(10_000, steps_per_epoch=500))
MultiStepDecay((10, "50%"))(0)
    UnresolvedError: MultiStepDecay((10, '50%')) is not resolved: '50%' needs the length of the
        run; write plan.resolve(10_000)
PiecewiseLinear(((0, 1), ("2ep", 0)))(0)
    UnresolvedError: PiecewiseLinear(((0, 1), ('2ep', 0))) is not resolved: '2ep' needs
        steps_per_epoch; write plan.resolve(Horizon(10_000, steps_per_epoch=500))
(Linear(10) * Cosine("1Mtok")).peak
    UnresolvedError: Linear(10) * Cosine('1Mtok') is not resolved: '1Mtok' needs
        tokens_per_step; write plan.resolve(Horizon(10_000, tokens_per_step=500_000))
Linear().clip(0, 1).final
    UnresolvedError: Linear().clip(low=0, high=1) is not resolved: a phase without a length
        takes the rest of the run, whose length is not known; write plan.resolve(10_000) or
        Scheduler(..., total_steps=10_000)
Linear().repeat(3)(0)
    UnresolvedError: Linear().repeat(3) is not resolved: a phase without a length takes the rest
        of the run, whose length is not known; write plan.resolve(10_000) or Scheduler(...,
        total_steps=10_000)
Linear("1ep").repeat(3)(0)
    UnresolvedError: Linear('1ep').repeat(3) is not resolved: '1ep' needs steps_per_epoch; write
        plan.resolve(Horizon(10_000, steps_per_epoch=500))
Linear().part(0, 5)(0)
    UnresolvedError: Linear().part(0, 5) is not resolved: a phase without a length takes the
        rest of the run, whose length is not known; write plan.resolve(10_000) or Scheduler(...,
        total_steps=10_000)
Linear(10).part(0, steps="1ep").peak
    UnresolvedError: Linear(10).part(0, steps='1ep') is not resolved: '1ep' needs
        steps_per_epoch; write plan.resolve(Horizon(10_000, steps_per_epoch=500))
Hold().part(3, steps=5)(0)
    UnresolvedError: Hold().part(3, steps=5) is not resolved: a phase without a length takes the
        rest of the run, whose length is not known; write plan.resolve(10_000) or Scheduler(...,
        total_steps=10_000)
Linear("50%").repeat(3).values(5)
    UnresolvedError: Linear('50%').repeat(3) is not resolved: a phase without a length takes the
        rest of the run, whose length is not known; write plan.resolve(10_000) or Scheduler(...,
        total_steps=10_000)
Linear("5%").area(0, 5)
    UnresolvedError: Linear('5%') is not resolved: '5%' needs the length of the run; write
        plan.resolve(10_000)
Linear("5%").phases()
    UnresolvedError: Linear('5%') is not resolved: '5%' needs the length of the run; write
        plan.resolve(10_000)
Linear("5%").first_below(0.5)
    UnresolvedError: Linear('5%') is not resolved: '5%' needs the length of the run; write
        plan.resolve(10_000)
StepDecay(30).values()
    UnresolvedError: StepDecay(30) has no length of its own; write plan.values(n)
Hold().values()
    UnresolvedError: Hold() has no length of its own; write plan.values(n)
StepDecay(30).peak
    UnresolvedError: StepDecay(30) has no end, so it has no peak; ask about a number of steps:
        write plan.values(10_000)
Linear(10).repeat().final
    UnresolvedError: Linear(10).repeat() has no end, so it has no final value; ask about a
        number of steps: write plan.values(10_000)
InverseTime(5).first_below(0.5)
    UnresolvedError: InverseTime(5) has no end, so it has no last step to look at; ask about a
        number of steps: write plan.first_below(level, within=10_000)
"""

NAMES = {
    **{name: getattr(cd, name) for name in cd.__all__ if name != "Scheduler"},
    "Fraction": Fraction,
    "Sequence": Sequence,
    "array": array,
    "inf": inf,
    "nan": nan,
    "tensor": tensor,
    "three_halvings": three_halvings,
}


def rows(*tables: str) -> list[tuple[str, str]]:
    """The pairs of call and message in the tables."""
    found: list[tuple[str, str]] = []
    for line in "\n".join(tables).splitlines():
        if line.startswith(" "):
            call, message = found.pop()
            found.append((call, f"{message} {line.strip()}".strip()))
        elif line:
            found.append((line, ""))
    return found


ALL = rows(SHAPES, COMPOSITIONS, HORIZONS, RESOLVING, RECIPES, QUESTIONS, UNRESOLVED)


@pytest.mark.parametrize(("call", "message"), ALL, ids=[call[:60] for call, _ in ALL])
def test_bad_calls_say_what_is_wrong(call, message):
    """A bad call raises the error in the table, with this message to the letter."""
    with pytest.raises(CadenceError) as caught:
        eval(call, NAMES)  # noqa: S307 - the calls are ours
    error = caught.value
    assert f"{type(error).__name__}: {error}" == message
    assert isinstance(error, ValueError)
    assert error.__cause__ is None


def test_the_tables_hold_no_call_twice():
    """Each bad call is written once, and has a message."""
    calls = [call for call, _ in ALL]
    assert len(calls) == len(set(calls)) >= 60
    assert all(message for _, message in ALL)


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for name, kind in Schedule.known.items()
        if kind.__module__.startswith("cadence.") and name not in ABSTRACT
    ],
    ids=lambda kind: kind.__name__,
)
def test_every_parameter_of_every_shape_is_in_the_table(kind):
    """No parameter goes unchecked: each has a bad call of its own."""
    where = kind.called or kind.__name__
    own = {field.name for field in dataclasses.fields(kind)}
    # The plan to which a method belongs cannot be given wrongly; ramps share three parameters.
    for field in own - {"plan", "left", "start", "end", "steps"}:
        assert any(f": {where}: '{field}' " in message for _, message in ALL), field


@pytest.mark.parametrize("field", ["start", "end", "steps"])
def test_shared_parameters_are_in_the_table(field):
    """The parameters that all ramps share have bad calls too."""
    assert any(f": Linear: '{field}' " in message for _, message in ALL)


@pytest.mark.parametrize("recipe", [name for name in recipes.__all__ if name != "OneCycle"])
def test_every_recipe_is_in_the_table(recipe):
    """Each recipe has a bad call."""
    assert any(call.startswith(f"{recipe}(") for call, _ in ALL)


@pytest.mark.parametrize("unit", ["%", "ep", "samples", "tok"])
def test_every_unit_is_named_where_it_is_lacking(unit):
    """A plan that lacks a unit says which, whatever it is asked and however it is composed."""
    lacking = {
        "%": "the length of the run",
        "ep": "steps_per_epoch",
        "samples": "samples_per_step",
        "tok": "tokens_per_step",
    }[unit]
    duration = f"5{unit}"
    for plan in (
        cd.Linear(duration),
        cd.Warmup(5) >> cd.Hold(duration) >> cd.Linear(5),
        cd.Linear(5) * cd.Linear(duration),
        cd.Linear(5) + (cd.Hold(3) >> cd.Hold(duration)),
        cd.Linear(duration).clip(low=0.5),
        cd.MultiStepDecay((1, duration)),
        cd.PiecewiseLinear(((0, 1), (duration, 0))),
        cd.ExponentialDecay(0.5, per=duration),
        cd.InverseSqrt(duration),
        cd.Linear().repeat(3, over=duration),
        cd.Linear(duration).part(0, 5),
        cd.Linear(5).part(0, 5, steps=duration),
    ):
        for question in (
            lambda plan=plan: plan(0),
            lambda plan=plan: plan.values(3),
            lambda plan=plan: plan.area(0, 3),
            lambda plan=plan: plan.first_below(0.5, within=3),
            lambda plan=plan: plan.peak,
            lambda plan=plan: plan.final,
            plan.phases,
        ):
            with pytest.raises(UnresolvedError) as caught:
                question()
            assert f"{plan!r} is not resolved: '{duration}' needs {lacking}; write" in str(
                caught.value
            )


def test_a_failed_construction_leaves_no_trace():
    """A refused plan is not known anywhere, and a refused shape does not replace a known one."""
    before = dict(Schedule.known)
    with pytest.raises(ArgumentError, match="choose another, since plans are stored by name"):
        type("Cosine", (cd.Ramp,), {"__module__": "elsewhere", "curve": lambda self, u, xp: u})
    assert Schedule.known == before
    assert repr(cd.parse("Cosine(5)")) == "Cosine(5)"


def test_messages_fit_on_a_line():
    """What was given is shown in full where it is short, and shortened where it is endless."""
    with pytest.raises(ArgumentError) as caught:
        cd.Linear(list(range(10_000)))
    assert len(str(caught.value)) < 300
    with pytest.raises(ArgumentError) as caught:
        cd.Linear(array([[1, 2], [3, 4]]))
    assert "\n" not in str(caught.value)
    with pytest.raises(ArgumentError, match="a huge number"):
        cd.Linear(10)(-(10**5000))
