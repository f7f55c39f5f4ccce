"""A verdict in words: failures first, then what is claimed, what is not, and for which regime."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from cadence._wording import listed, shortened
from cadence.compare._verdict import Pair, Standing, Verdict

__all__ = ["amount", "headline", "interval", "pair_sentence", "seeds_told", "sentences"]

MOST_PAIRS = 10
"""Of more pairs, as there are between six plans, not each is told in a sentence."""

SHOWN = 60
"""Characters of an error that a sentence quotes."""


def headline(verdict: Verdict) -> str:
    """The verdict in one sentence.

    It names a plan as ahead only if its difference from each of the others is claimed.
    """
    if len(verdict.standings) < 2:
        return "One plan alone: there is nothing to compare."
    if len(verdict.pairs) == 1:
        return pair_sentence(verdict.pairs[0], verdict)
    if verdict.reference is not None:
        return _against(verdict, verdict.reference)
    if verdict.best is not None:
        closest = min((p for p in verdict.claims if p.better == verdict.best), key=_mean)
        told = f"{closest.worse}, by {interval(closest)} {_basis(closest)}"
        return f"{verdict.best} beats every other plan; the closest is {told}."
    most = max((len(pair.seeds) for pair in verdict.pairs), default=0)
    if most < 2:
        return "One seed shows nothing." if most else "No two plans finished on the same seed."
    if not verdict.claims:
        return f"No difference that {most} seeds can resolve."
    ahead = _ahead(verdict)
    names = listed(standing.plan for standing in ahead)
    failing = [standing.plan for standing in ahead if standing.failed]
    if failing:
        return f"{names}: not beaten by any plan, but not all runs of {listed(failing)} finished."
    if len(ahead) > 1:
        return f"{names} are ahead, with no difference between them that {most} seeds can resolve."
    return (
        f"No plan beats every other one: of {len(verdict.pairs)} differences, {most} seeds can "
        f"resolve {len(verdict.claims)}."
    )


def _ahead(verdict: Verdict) -> list[Standing]:
    """The plans that nobody beats, if each of them beats all the others; else none."""
    beaten = {pair.worse for pair in verdict.claims}
    unbeaten = [s for s in verdict.standings if s.plan not in beaten and s.seeds]
    wins = {(pair.better, pair.worse) for pair in verdict.claims}
    clear = all((s.plan, loser) in wins for s in unbeaten for loser in beaten)
    return unbeaten if clear else []


def _against(verdict: Verdict, reference: str) -> str:
    better = [pair.better for pair in verdict.claims if pair.worse == reference]
    worse = [pair.worse for pair in verdict.claims if pair.better == reference]
    parts = [f"{listed(better)} beat{'s' * (len(better) == 1)} {reference}"] if better else []
    parts += [f"{reference} beats {listed(worse)}"] if worse else []
    return f"{'; '.join(parts)}." if parts else f"No plan is shown to differ from {reference}."


def _worth_a_sentence(verdict: Verdict) -> list[Pair]:
    """All pairs; of very many, those of the plan with the best mean."""
    if len(verdict.pairs) <= MOST_PAIRS or verdict.reference is not None:
        return list(verdict.pairs)
    ((first, _),) = Counter(pair.better for pair in verdict.pairs).most_common(1)
    return [pair for pair in verdict.pairs if first in (pair.better, pair.worse)]


def sentences(verdict: Verdict) -> Iterator[str]:
    """Everything that the verdict has to say, a sentence or two for each point."""
    yield from _failures(verdict)
    if len(verdict.pairs) != 1:
        yield headline(verdict)
    told = _worth_a_sentence(verdict)
    for pair in sorted(told, key=lambda pair: not pair.resolved):
        yield pair_sentence(pair, verdict)
    if len(told) < len(verdict.pairs):
        yield f"The report's table has the other {len(verdict.pairs) - len(told)} pairs."
    if len(verdict.pairs) > 1:
        yield (
            f"{len(verdict.pairs)} pairs are looked at: Holm's correction keeps the chance of any "
            f"wrong claim at {verdict.alpha:.2g}. Each interval is of {1 - verdict.alpha:.4g} by "
            "itself."
        )
    yield from _peaks(verdict)
    yield from _regime(verdict)


def _failures(verdict: Verdict) -> Iterator[str]:
    to_come = verdict.planned - verdict.ended
    if to_come:
        yield (
            f"{to_come} of {_counted(verdict.planned, 'run')} "
            f"{'is' if to_come == 1 else 'are'} still to come: this is not the last word."
        )
    for standing in verdict.standings:
        runs = sum(standing.outcomes.values())
        for how, seeds in standing.failed.items():
            word = f"was {how} early" if how == "stopped" else how
            told = f"{standing.plan} {word} in {len(seeds)} of {_counted(runs, 'seed')}"
            told += f" ({', '.join(map(str, seeds))})"
            errors = {verdict.errors[standing.plan, s] for s in seeds if how == "crashed"}
            if errors:
                first = min(errors)
                told += f": {shortened(first, SHOWN)}"
                told += f", and {_counted(len(errors) - 1, 'other error')}" * (len(errors) > 1)
            yield told if told.endswith("...") else told.rstrip(".") + "."
    if any(standing.failed for standing in verdict.standings):
        yield "Differences are of the seeds that both plans finished: a failure is in no average."
    if verdict.peak_failures:
        yield (
            f"{_counted(verdict.peak_failures, 'more run')} that tried peaks diverged or crashed."
        )


def pair_sentence(pair: Pair, verdict: Verdict) -> str:
    """What the seeds say about two plans."""
    names = f"{pair.better} and {pair.worse}"
    n = len(pair.seeds)
    if n == 0:
        return f"{names}: no seed that both finished."
    if n == 1:
        return f"{names}: one seed shows nothing."
    if pair.resolved:
        claim = f"{pair.better} beats {pair.worse} by {interval(pair)} {_basis(pair)}."
        return f"Where both finished, {claim}" if pair.conditional else claim
    if pair.basis == "none":
        if pair.mean <= 1e-12 * max(map(abs, verdict.standing(pair.better).scores)):
            return f"{names}: the same in all of {n} seeds, to the last digit."
        return (
            f"{names}: the runs do not depend on their seeds, so that {n} of them are one, and one "
            "seed shows nothing."
        )
    told = f"{names}: no difference that {n} seeds can resolve ({interval(pair)})"
    return f"{told}{_needed(pair)}."


def _needed(pair: Pair) -> str:
    return "" if pair.needed is None else f"; {seeds_told(pair.needed)} would be needed"


def seeds_told(needed: float) -> str:
    """How many seeds would be needed, to the two digits that are meant.

    >>> seeds_told(136), seeds_told(float("inf"))
    ('about 140', 'more than 1,000')
    """
    if math.isinf(needed):
        return "more than 1,000"
    # The size of the difference is itself uncertain.
    power = max(0, len(str(int(needed))) - 2)
    return f"about {math.ceil(needed / 10**power) * 10**power:,}"


def interval(pair: Pair) -> str:
    """The difference with its interval, to two digits of the half-width.

    >>> from cadence.compare._verdict import Pair
    >>> pair = Pair("wsd", "cosine", (0, 1, 2), 3, (), 0.15312, low=0.1419, high=0.1643, basis="t")
    >>> interval(pair)
    '0.153 ± 0.011'
    """
    if pair.basis == "bootstrap":
        return (
            f"{amount(pair.mean, pair.half)} "
            f"[{amount(pair.low, pair.half)}, {amount(pair.high, pair.half)}]"
        )
    if pair.basis == "t":
        return f"{amount(pair.mean, pair.half)} ± {amount(pair.half, pair.half)}"
    return f"{pair.mean:.4g}"


def amount(value: float, half: float) -> str:
    """A number to as many digits as show two of the half-width of its interval.

    >>> amount(0.15312, 0.0112), amount(1234.5, 56.7), amount(1.5e-9, 1.2e-10)
    ('0.153', '1234', '1.50e-09')
    """
    if not (math.isfinite(half) and half > 0):
        return f"{value:.4g}"
    decimals = 1 - math.floor(math.log10(half))
    if decimals > 7 and value:
        return f"{value:.{max(0, math.floor(math.log10(abs(value))) + decimals)}e}"
    return f"{value:.{max(0, decimals)}f}"


def _basis(pair: Pair) -> str:
    n = len(pair.seeds)
    seeds = f"{n} of {pair.planned} seeds" if pair.conditional else f"{n} seeds"
    if pair.basis == "bootstrap":
        return f"(paired, {seeds}, bootstrapped)"
    if pair.basis == "signs":
        return f"in each of {seeds} (paired, by the signs)"
    return f"(paired, {seeds})"


def _peaks(verdict: Verdict) -> Iterator[str]:
    tuned = [s for s in verdict.standings if len(s.grid) > 1 and s.peak is not None]
    if not tuned:
        return
    yield f"Peaks: {', '.join(f'{s.plan} {s.peak:g}' for s in tuned)}."
    alike: dict[tuple[Any, ...], list[str]] = {}
    for standing in tuned:
        if standing.edge is not None:
            alike.setdefault((standing.edge, standing.grid), []).append(standing.plan)
    for (edge, grid), plans in alike.items():
        lie = "peak of {} lies" if len(plans) == 1 else "peaks of {} lie"
        yield (
            f"The {lie.format(listed(plans))} on the edge of the grid ({grid[0]:g} to "
            f"{grid[-1]:g}): {'lower' if edge == 'low' else 'higher'} ones may be better, and what "
            "is judged is then not these plans at their best."
        )
    if verdict.reused:
        yield (
            "Peaks were chosen on seeds that are judged as well, which flatters the plans that "
            "had more to choose from."
        )


def _regime(verdict: Verdict) -> Iterator[str]:
    regime = verdict.regime
    length = "The runs differ in length"
    if regime.updates is not None:
        length = f"This holds for runs of {_counted(regime.updates, 'update')}"
    if math.isnan(regime.gained):
        yield f"{length}; what was logged does not tell whether longer ones may end otherwise."
        return
    share = "" if math.isnan(regime.share) else f", {100 * regime.share:.2g} % of the whole way"
    if regime.gained < 0:
        yield (
            f"{length}. Over their second half {regime.metric} became worse by "
            f"{-regime.gained:.2g} (the median of the plans)."
        )
        return
    told = (
        f"{length}. Their second half improved {regime.metric} by {regime.gained:.2g} (the median "
        f"of the plans{share})"
    )
    if regime.moving is None:
        yield f"{told}."
    elif regime.moving:
        yield (
            f"{told}, which is more than what is between the plans ({regime.gap:.2g}): in longer "
            "runs their order may change."
        )
    else:
        yield f"{told}, which is less than what is between the plans ({regime.gap:.2g})."


def _mean(pair: Pair) -> float:
    return pair.mean


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
