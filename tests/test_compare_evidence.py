"""The verdict: what seeds can say, and that it claims nothing which they do not."""

import gc
import json
import math
import re

import numpy as np
import pytest
from scipy import stats

from cadence.compare._evidence import judge
from cadence.compare._verdict import seeds_needed
from comparisons import comparison, simulated, trial

# Measured once: the character transformer of the demo, 600 updates, five seeds.
WSD = [2.087, 2.092, 2.188, 2.140, 2.108]
COSINE = [2.241, 2.249, 2.337, 2.290, 2.259]


@pytest.fixture(autouse=True, scope="module")
def quick():
    """Holm's correction in statsmodels collects garbage each time, all that torch has brought."""
    gc.freeze()
    yield
    gc.unfreeze()


def told(verdict, words):
    return any(words in sentence for sentence in verdict.sentences)


def test_the_interval_is_that_of_the_paired_differences():
    """The pair is SciPy's paired t test, and the verdict says it as one would."""
    verdict = judge(comparison({"cosine": COSINE, "wsd": WSD}))
    (pair,) = verdict.pairs
    expected = stats.ttest_rel(COSINE, WSD)
    low, high = expected.confidence_interval(0.95)
    assert (pair.better, pair.worse) == ("wsd", "cosine")
    assert pair.mean == pytest.approx(np.mean(COSINE) - np.mean(WSD))
    assert (pair.low, pair.high, pair.p) == pytest.approx((low, high, expected.pvalue))
    assert pair.resolved
    assert verdict.best == "wsd"
    half = (high - low) / 2
    assert (
        verdict.headline == f"wsd beats cosine by {pair.mean:.4f} ± {half:.4f} (paired, 5 seeds)."
    )


def test_unpaired_spread_does_not_hide_a_paired_difference():
    """What a seed does to both plans drops out: their own intervals overlap widely."""
    verdict = judge(comparison({"cosine": COSINE, "wsd": WSD}))
    wsd, cosine = verdict.standing("wsd"), verdict.standing("cosine")
    assert verdict.pairs[0].half < 0.1 * wsd.half
    assert wsd.half == pytest.approx(
        -stats.ttest_1samp(WSD, 0).confidence_interval(0.95).low + np.mean(WSD)
    )
    assert cosine.mean == pytest.approx(np.mean(COSINE))


def test_more_is_better_in_mode_max():
    """With mode="max" the same numbers are won by the other plan."""
    scores = {"cosine": COSINE, "wsd": WSD}
    least, most = judge(comparison(scores)), judge(comparison(scores, mode="max", metric="acc"))
    assert (most.pairs[0].better, most.best) == ("cosine", "cosine")
    assert most.pairs[0].mean == pytest.approx(least.pairs[0].mean)
    assert most.pairs[0].p == pytest.approx(least.pairs[0].p)


def test_what_seeds_cannot_resolve_is_not_claimed():
    """An honest null tells how many seeds a difference of this size would need."""
    differences = [0.05, -0.03, 0.04, -0.02, 0.06]
    wsd = [c - d for c, d in zip(COSINE, differences, strict=True)]
    verdict = judge(comparison({"cosine": COSINE, "wsd": wsd}))
    (pair,) = verdict.pairs
    needed = seeds_needed(np.mean(differences) / np.std(differences, ddof=1))
    assert (verdict.claims, verdict.best) == ((), None)
    assert pair.needed == needed > 5
    assert verdict.headline == (
        "wsd and cosine: no difference that 5 seeds can resolve (0.020 ± 0.052); "
        f"about {needed} would be needed."
    )


def test_more_seeds_than_anybody_has():
    """A difference that would take thousands of seeds is told as such, in two digits at most."""
    base = np.linspace(2, 2.4, 12)
    noise = np.tile([0.1, -0.1], 6)
    verdict = judge(comparison({"a": base, "b": base + noise + 1e-3}))
    assert verdict.headline.endswith("; more than 1,000 would be needed.")
    verdict = judge(comparison({"a": base, "b": base + noise + 0.02}))
    assert verdict.pairs[0].needed == seeds_needed(0.02 / np.std(noise, ddof=1)) > 99
    assert re.search(r"about \d\d0 would be needed", verdict.headline)


@pytest.mark.parametrize(("effect", "alpha"), [(0.3, 0.05), (0.5, 0.05), (1.0, 0.01), (3.0, 0.05)])
def test_seeds_needed_is_the_least_number_with_that_power(effect, alpha):
    """The noncentral t says so: enough at this number, not at one less."""

    def power(n):
        edge = stats.t.ppf(1 - alpha / 2, n - 1)
        shifted = stats.nct(n - 1, effect * math.sqrt(n))
        return shifted.sf(edge)

    n = seeds_needed(effect, alpha)
    assert power(n) >= 0.8
    assert n == 2 or power(n - 1) < 0.8
    assert seeds_needed(-effect, alpha) == n


def test_one_seed_shows_nothing():
    """However large the difference is."""
    verdict = judge(comparison({"cosine": [9.0], "wsd": [1.0]}))
    assert verdict.headline == "wsd and cosine: one seed shows nothing."
    assert (verdict.claims, verdict.pairs[0].needed) == ((), None)
    four = judge(comparison({"a": [1.0], "b": [2.0], "c": [3.0]}))
    assert four.headline == "One seed shows nothing."


def test_identical_runs_are_no_difference():
    """The same plan under two names gives the same runs, which is said and not tested."""
    verdict = judge(comparison({"a": WSD, "b": WSD}))
    assert verdict.headline == "a and b: the same in all of 5 seeds, to the last digit."
    assert not verdict.claims


def test_runs_that_ignore_their_seed_are_one_run():
    """A training function that does not use the seed cannot fake certainty."""
    verdict = judge(comparison({"a": [1.0] * 9, "b": [2.0] * 9}))
    assert not verdict.claims
    assert "do not depend on their seeds" in verdict.headline


@pytest.mark.parametrize(("seeds", "claimed"), [(3, False), (5, False), (6, True), (9, True)])
def test_equal_differences_are_judged_by_their_signs(seeds, claimed):
    """A coarse metric may give one difference in each seed; there is no spread to go by."""
    accuracy = np.linspace(0.80, 0.90, seeds)
    verdict = judge(comparison({"a": accuracy, "b": accuracy + 0.01}, mode="max", metric="acc"))
    (pair,) = verdict.pairs
    assert (pair.better, pair.basis) == ("b", "signs")
    assert pair.p == pytest.approx(0.5 ** (seeds - 1))
    assert pair.resolved is claimed
    assert (f"by 0.01 in each of {seeds} seeds" in verdict.headline) is claimed


def test_holm_takes_account_of_all_pairs():
    """A difference that two plans alone would show is not claimed among four of them."""
    a = np.array([2.0, 2.1, 2.2, 2.3, 2.4])
    b = a + np.array([0.02, 0.05, 0.01, 0.04, 0.06])
    alone = judge(comparison({"a": a, "b": b}))
    # The other two are as bad as b, up to noise of their own.
    c = a + np.array([0.06, 0.01, 0.03, 0.05, 0.02])
    d = a + np.array([0.03, 0.03, 0.05, 0.02, 0.05])
    among = judge(comparison({"a": a, "b": b, "c": c, "d": d}))
    pair = next(p for p in among.pairs if {p.better, p.worse} == {"a", "b"})
    assert alone.pairs[0].p == pair.p < 0.05
    assert alone.claims
    assert pair.corrected > 2 * pair.p
    assert len(among.pairs) == 6
    corrected = stats.false_discovery_control([p.p for p in among.pairs])
    assert all(p.corrected >= least for p, least in zip(among.pairs, corrected, strict=True))
    assert told(among, "6 pairs are looked at")


def test_a_reference_saves_pairs():
    """Against a reference plan each other plan is looked at once."""
    rows = {name: np.array(WSD) + shift for name, shift in [("a", 0), ("b", 0), ("c", 0), ("d", 0)]}
    rows["a"] = rows["a"] - [0.1, 0.12, 0.11, 0.09, 0.1]
    verdict = judge(comparison(rows), reference="d")
    assert len(verdict.pairs) == 3
    assert all("d" in (pair.better, pair.worse) for pair in verdict.pairs)
    assert verdict.headline == "a beats d."
    assert comparison(rows).verdict(reference="d") == verdict


def test_the_best_beats_every_other():
    """The headline of several plans names the winner and the closest plan."""
    rows = {"constant": np.array(COSINE) - 0.1, "cosine": COSINE, "wsd": WSD}
    rows["constant"] = rows["constant"] + [0.001, -0.002, 0.003, 0.001, -0.001]
    verdict = judge(comparison(rows))
    assert verdict.best == "wsd"
    assert verdict.headline.startswith(
        "wsd beats every other plan; the closest is constant, by 0.0"
    )
    assert len(verdict.claims) == 3
    assert [pair.mean for pair in verdict.pairs] == sorted(
        (pair.mean for pair in verdict.pairs), reverse=True
    )


def test_of_many_pairs_those_of_the_best_are_told():
    """Six plans have fifteen pairs: five sentences, and where the others are."""
    noise = np.random.default_rng(0).normal(0, 1e-3, (6, len(WSD)))
    plans = {f"plan{i}": list(WSD + noise[i] + 0.1 * abs(i - 3)) for i in range(6)}
    verdict = judge(comparison(plans))
    pairs = [sentence for sentence in verdict.sentences if "(paired" in sentence]
    assert len(verdict.pairs) == 15
    assert len([sentence for sentence in pairs if sentence != verdict.headline]) == 5
    assert all("plan3" in sentence for sentence in pairs)
    assert told(verdict, "The report's table has the other 10 pairs.")


def test_two_that_are_ahead_are_both_named():
    """Where the best two cannot be told apart, the headline does not pick one."""
    noise = np.array([0.01, -0.012, 0.011, -0.008, 0.004])
    verdict = judge(comparison({"a": WSD, "b": np.array(WSD) + noise, "c": COSINE}))
    assert verdict.best is None
    assert verdict.headline == (
        "a and b are ahead, with no difference between them that 5 seeds can resolve."
    )


def test_a_plan_that_is_merely_unbeaten_is_not_ahead():
    """A plan with wild seeds may be beaten by nobody; that does not make it good."""
    wild = np.add(COSINE, [0.3, -0.2, 0.4, -0.1, 0.3])
    verdict = judge(comparison({"cosine": COSINE, "wild": wild, "wsd": WSD}))
    assert verdict.headline == (
        "No plan beats every other one: of 3 differences, 5 seeds can resolve 1."
    )


def test_a_plan_that_diverges_is_told_first_and_never_the_best():
    """The seeds that are left are compared, and the verdict says that they are what is left."""
    trials = [trial("cosine", seed, score) for seed, score in enumerate(COSINE)]
    trials += [trial("wsd", seed, score) for seed, score in enumerate(WSD) if seed not in (1, 3)]
    trials += [trial("wsd", seed, math.inf, "diverged") for seed in (1, 3)]
    verdict = judge(comparison({"cosine": (), "wsd": ()}, trials=trials))
    (pair,) = verdict.pairs
    kept = [0, 2, 4]
    expected = stats.ttest_rel([COSINE[i] for i in kept], [WSD[i] for i in kept])
    assert verdict.sentences[0] == "wsd diverged in 2 of 5 seeds (1, 3)."
    assert (pair.seeds, pair.conditional) == ((0, 2, 4), True)
    assert pair.p == pytest.approx(expected.pvalue)
    assert verdict.headline.startswith("Where both finished, wsd beats cosine by 0.15")
    assert verdict.headline.endswith("(paired, 3 of 5 seeds).")
    assert verdict.best is None
    assert verdict.standing("wsd").outcomes == {"finished": 3, "diverged": 2}


def test_a_score_that_is_no_number_has_diverged():
    """A run that claims to have finished with NaN is not averaged away."""
    verdict = judge(comparison({"cosine": COSINE, "wsd": [*WSD[:4], math.nan]}))
    assert verdict.sentences[0] == "wsd diverged in 1 of 5 seeds (4)."
    assert not math.isnan(verdict.pairs[0].mean)


def test_crashes_are_told_with_their_error():
    """The last line of the traceback, and how many others there are."""
    trials = [trial("cosine", seed, score) for seed, score in enumerate(COSINE)]
    trials += [trial("wsd", seed, score) for seed, score in enumerate(WSD[:2])]
    error = "Traceback (most recent call last):\n  File ...\nRuntimeError: out of memory\n"
    trials += [trial("wsd", seed, status="crashed", error=error) for seed in (2, 3)]
    trials += [trial("wsd", 4, status="crashed", error="ValueError: shapes")]
    verdict = judge(comparison({"cosine": (), "wsd": ()}, trials=trials))
    assert verdict.sentences[0] == (
        "wsd crashed in 3 of 5 seeds (2, 3, 4): RuntimeError: out of memory, and 1 other error."
    )
    assert verdict.errors["wsd", 3] == "RuntimeError: out of memory"


def test_a_long_error_is_quoted_as_cut_short():
    """Three dots tell that there is more of it."""
    trials = [trial("wsd", seed, score) for seed, score in enumerate(WSD[:4])]
    trials += [trial("wsd", 4, status="crashed", error="ValueError: " + "shapes " * 20)]
    verdict = judge(comparison({"wsd": ()}, trials=trials))
    assert re.fullmatch(r"wsd crashed .*: ValueError: shapes .*\.\.\.", verdict.sentences[0])


def test_a_plan_that_never_finishes():
    """It has no number, and whatever is said of it says so."""
    trials = [trial("cosine", seed, score) for seed, score in enumerate(COSINE)]
    trials += [trial("wsd", seed, math.inf, "diverged") for seed in range(5)]
    verdict = judge(comparison({"cosine": (), "wsd": ()}, trials=trials))
    assert verdict.sentences[0].startswith("wsd diverged in 5 of 5 seeds")
    assert verdict.headline == "cosine and wsd: no seed that both finished."
    assert math.isnan(verdict.standing("wsd").mean)
    assert verdict.best is None


def test_runs_to_come_make_the_verdict_preliminary():
    """Looking before the end is allowed, and told first."""
    trials = [trial("cosine", seed, score) for seed, score in enumerate(COSINE)]
    trials += [trial("wsd", seed, score) for seed, score in enumerate(WSD[:3])]
    trials += [trial("wsd", seed, status="pending") for seed in (3, 4)]
    verdict = judge(comparison({"cosine": (), "wsd": ()}, trials=trials))
    assert verdict.sentences[0] == "2 of 10 runs are still to come: this is not the last word."
    assert (verdict.ended, verdict.planned, verdict.best) == (8, 10, None)


def peaked(peak, role="verdict", grid=(1e-3, 3e-3, 1e-2), seeds=(3, 4, 5), **failures):
    """The runs of two plans, whose peaks were chosen on seeds 0 to 2."""
    trials = []
    for plan, row in (("cosine", COSINE), ("wsd", WSD)):
        trials += [
            trial(plan, seed, 2.5 + rate, peak=rate, role="peak")
            for rate in grid
            for seed in (0, 1)
        ]
        own = peak if plan == "wsd" else grid[1]
        trials += [trial(plan, s, score, peak=own) for s, score in zip(seeds, row, strict=False)]
    return judge(comparison({"cosine": (), "wsd": ()}, trials=trials))


@pytest.mark.parametrize(
    ("peak", "edge", "word"), [(1e-3, "low", "lower"), (3e-3, None, ""), (1e-2, "high", "higher")]
)
def test_a_peak_on_the_edge_of_the_grid_is_a_warning(peak, edge, word):
    """The winning peaks are told; one on the edge means that a better one may lie beyond."""
    verdict = peaked(peak)
    assert verdict.standing("wsd").edge == edge
    assert verdict.standing("wsd").grid == (1e-3, 3e-3, 1e-2)
    assert told(verdict, f"Peaks: cosine 0.003, wsd {peak:g}.")
    assert told(verdict, f"(0.001 to 0.01): {word} ones may be better") is (edge is not None)
    assert verdict.pairs[0].seeds == (3, 4, 5)


def test_peaks_chosen_on_judged_seeds_are_told():
    """The runs that chose the peaks should not be those that are judged."""
    assert not peaked(3e-3).reused
    again = peaked(3e-3, seeds=(0, 1, 2))
    assert again.reused
    assert told(again, "chosen on seeds that are judged as well")


def test_two_judged_runs_of_one_seed_are_refused():
    """Which of them is the pair of the other plan's run cannot be known."""
    trials = [trial("a", 0, 1.0), trial("a", 0, 2.0), trial("b", 0, 1.0)]
    with pytest.raises(ValueError, match=r"one judged run for each seed.*seed 0"):
        judge(comparison({"a": (), "b": ()}, trials=trials))


@pytest.mark.parametrize(
    "more", [{"alpha": 0}, {"alpha": 1.0}, {"reference": "wds"}, {"interval": "bca"}]
)
def test_bad_arguments(more):
    """Alpha is inside (0, 1), and a reference is one of the plans."""
    with pytest.raises(ValueError, match=f"judge: '{next(iter(more))}' must be"):
        judge(comparison({"wsd": WSD, "cosine": COSINE}), **more)


@pytest.mark.parametrize(("half", "moving"), [(0.5, True), (0.02, False)])
def test_the_regime_is_told(half, moving):
    """Where the last doubling of the run moved more than the plans differ, their order may too."""
    rows = {"cosine": COSINE, "wsd": WSD}
    trials = [trial(p, s, x, half=half) for p, row in rows.items() for s, x in enumerate(row)]
    verdict = judge(comparison(rows, trials=trials))
    assert verdict.regime.updates == 600
    assert verdict.regime.gained == pytest.approx(half, abs=0.05)
    assert verdict.regime.gap == pytest.approx(0.15, abs=0.01)
    assert verdict.regime.moving is moving
    assert told(verdict, "runs of 600 updates")
    assert told(verdict, "in longer runs their order may change") is moving


def test_a_second_half_that_made_it_worse_is_told_as_such():
    """No improvement is told of by a number below zero."""
    rows = {"cosine": COSINE, "wsd": WSD}
    trials = [trial(p, s, x, half=-0.5) for p, row in rows.items() for s, x in enumerate(row)]
    verdict = judge(comparison(rows, trials=trials))
    assert verdict.regime.gained < 0
    assert told(verdict, f"loss became worse by {-verdict.regime.gained:.2g}")
    assert not told(verdict, "improved")


def test_curves_that_do_not_tell_the_regime():
    """A run that logged its last value alone is judged; the regime is not made up."""
    verdict = judge(comparison({"cosine": COSINE, "wsd": WSD}, curves=False))
    assert verdict.regime.moving is None
    assert math.isnan(verdict.regime.gained)
    assert told(verdict, "what was logged does not tell")


@pytest.mark.parametrize(("metric", "told_by"), [("val_loss", "loss"), ("accuracy", "accuracy")])
def test_a_loss_stands_for_one_that_was_measured_at_the_end(metric, told_by):
    """The course of another loss tells the regime; that of a loss says nothing of an accuracy."""
    verdict = judge(comparison({"cosine": COSINE, "wsd": WSD}, metric=metric))
    assert verdict.regime.metric == told_by
    assert (verdict.regime.moving is None) is (told_by == "accuracy")


def test_a_verdict_is_the_same_every_time_and_as_plain_values():
    """Bootstrapped intervals included: the same runs give the same verdict, which JSON can hold."""
    generator = np.random.default_rng(0)
    found = simulated(generator, [0, 0.1, 0], 24)
    one, other = (judge(found, interval="bootstrap") for _ in range(2))
    assert one == other
    assert {pair.basis for pair in one.pairs} == {"bootstrap"}
    assert told(one, "(paired, 24 seeds, bootstrapped)")
    assert json.loads(json.dumps(one.as_dict()))["headline"] == one.headline
    assert str(found.verdict()) == str(judge(found)) != str(one)


def test_too_few_seeds_are_not_bootstrapped():
    """Below twenty seeds the t interval stands in, and the pair says so."""
    found = simulated(np.random.default_rng(0), [0, 0.1], 19)
    assert judge(found, interval="bootstrap").pairs == judge(found).pairs
    assert judge(found).pairs[0].basis == "t"


def test_from_one_plan_to_none():
    """There is nothing to compare, and nothing is claimed."""
    assert judge(comparison({"a": WSD})).headline.startswith("One plan alone")
    assert judge(comparison({})).best is None
    assert judge(comparison({"a": (), "b": ()})).headline == "a and b: no seed that both finished."


def margin(n, chance, sigmas=3.3):
    """How far a count of n may be from n * chance: one in a thousand is farther."""
    return sigmas * math.sqrt(n * chance * (1 - chance))


@pytest.mark.parametrize(
    ("plans", "seeds"),
    [(2, 5), *(pytest.param(*c, marks=pytest.mark.slow) for c in [(2, 3), (2, 10), (4, 5)])],
)
def test_a_plan_does_not_differ_from_itself(plans, seeds):
    """Of 200 comparisons of one plan under several names, at most 16 claim any difference."""
    generator = np.random.default_rng(20260 + 100 * plans + seeds)
    claimed = sum(
        bool(judge(simulated(generator, [0.0] * plans, seeds)).claims) for _ in range(200)
    )
    print(f"\n{plans} plans, {seeds} seeds: {claimed} of 200")
    assert claimed <= 16


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [5, 10])
def test_a_planted_difference_is_found_with_the_stated_power(seeds):
    """A difference of the size that so many seeds resolve at 80 % is found about so often."""
    from statsmodels.stats.power import TTestPower

    effect = TTestPower().solve_power(nobs=seeds, alpha=0.05, power=0.8)
    generator = np.random.default_rng(seeds)
    size = effect * 0.1 * math.sqrt(2)  # the noise of a difference is that of two runs
    found = 0
    for _ in range(300):
        claims = judge(simulated(generator, [0.0, size], seeds)).claims
        found += bool(claims)
        assert all(pair.better == "plan 0" for pair in claims)
    print(f"\n{seeds} seeds: found {found} of 300")
    assert abs(found - 240) <= margin(300, 0.8)


def covered(generator, seeds, runs, interval="t"):
    """How often the interval of a planted difference holds it."""
    inside = 0
    for _ in range(runs):
        (pair,) = judge(simulated(generator, [0.0, 0.05], seeds), interval=interval).pairs
        assert pair.basis == interval
        planted = 0.05 if pair.better == "plan 0" else -0.05
        inside += pair.low <= planted <= pair.high
    return inside


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_t_intervals_cover_what_they_say(seeds):
    """From three seeds on, 95 % of the intervals hold the true difference."""
    inside = covered(np.random.default_rng(seeds), seeds, 300)
    print(f"\n{seeds} seeds: {inside} of 300")
    assert abs(inside - 0.95 * 300) <= margin(300, 0.95)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [20, 30])
def test_the_bootstrap_covers_from_twenty_seeds_on(seeds):
    """It is known to cover a little less than it says: two percent at most are let pass."""
    inside = covered(np.random.default_rng(seeds), seeds, 200, "bootstrap")
    print(f"\n{seeds} seeds: {inside} of 200")
    assert inside >= 0.93 * 200 - margin(200, 0.93)
