"""Forecasts: what loss another schedule would have given, from one to three logged runs.

`fit` finds the law that the runs follow; what it returns predicts any plan, ranks plans and
proposes one. `convex_bound` and `transfer` need no runs.
"""

from cadence.forecast._bound import ConvexBound, convex_bound
from cadence.forecast._choose import Proposal, Ranking
from cadence.forecast._fit import fit
from cadence.forecast._laws import LAWS, FunctionalScaling, Law, Momentum, MultiPower, Parameter
from cadence.forecast._logged import Logged, logged
from cadence.forecast._plot import Line, lines, plot
from cadence.forecast._predict import Forecast, Forecaster, LeftOut
from cadence.forecast._transfer import Range, Transfer, transfer
from cadence.forecast._verdict import Finding, Verdict

__all__ = [
    "LAWS",
    "ConvexBound",
    "Finding",
    "Forecast",
    "Forecaster",
    "FunctionalScaling",
    "Law",
    "LeftOut",
    "Line",
    "Logged",
    "Momentum",
    "MultiPower",
    "Parameter",
    "Proposal",
    "Range",
    "Ranking",
    "Transfer",
    "Verdict",
    "convex_bound",
    "fit",
    "lines",
    "logged",
    "plot",
    "transfer",
]
