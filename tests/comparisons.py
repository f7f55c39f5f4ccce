"""Comparisons made by hand and by chance: what a real one has found, without training."""

import math

import numpy as np

import cadence as cd
from cadence.compare import Comparison, Trial

PLANS = {
    "constant": cd.Constant(1.0),
    "cosine": cd.Cosine(),
    "wsd": cd.wsd("5%", "20%"),
    "one-cycle": cd.one_cycle().lr,
}


def curve(score, steps=600, every=20, start=4.6, half=0.0):
    """A loss that falls to its score; in the second half by `half`."""
    t = np.arange(every - 1, steps, every)
    early = np.minimum(2 * t / steps, 1.0)
    late = np.maximum(2 * t / steps - 1.0, 0.0)
    return t, start + (score + half - start) * np.sqrt(early) - half * np.minimum(late / 0.8, 1.0)


def trial(plan, seed, score=math.nan, status="finished", **more):
    """One run, which logged a curve if it finished."""
    if status == "finished" and "steps" not in more:
        steps, loss = curve(score, half=more.pop("half", 0.3))
        more |= {"steps": steps, "metrics": {"loss": loss}, "values": {"lr": 3e-3 * (steps > 0)}}
    fields = {"text": repr(PLANS.get(plan, PLANS["cosine"])), "peak": None, **more}
    return Trial(plan=plan, seed=seed, status=status, score=score, **fields)


def comparison(scores, *, trials=None, mode="min", metric="loss", **more):
    """A comparison of plans with the given scores, one for each seed; None is a seed left out."""
    if trials is None:
        trials = [
            trial(plan, seed, score, **({} if more.get("curves", True) else {"steps": ()}))
            for plan, row in scores.items()
            for seed, score in enumerate(row)
            if score is not None
        ]
    more.pop("curves", None)
    plans = {name: PLANS.get(name, PLANS["cosine"]) for name in scores}
    fields = {"title": "plans by hand", "total_steps": 600, **more}
    return Comparison(plans=plans, metric=metric, mode=mode, trials=tuple(trials), **fields)


def simulated(generator, effects, seeds, *, spread=1.0, noise=0.1, draw="standard_normal"):
    """A comparison by chance: what a seed does to all plans, plus what it does to each."""
    shared = spread * generator.standard_normal(seeds)
    own = getattr(generator, draw)
    scores = {f"plan {i}": effect + shared + noise * own(seeds) for i, effect in enumerate(effects)}
    return comparison(scores, curves=False)
