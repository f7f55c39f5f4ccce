"""Forecasts: fits, bands, verdicts, rankings and proposals, on made and on measured runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import cadence as cd
import curves
from cadence import forecast
from cadence.cli import app
from cadence.errors import ArgumentError, ForecastError, LogError
from cadence.forecast import FunctionalScaling, Momentum, MultiPower, fit, logged

SMALL = Path(__file__).parent / "data" / "forecast"
PEAK, TOTAL = 1e-3, 6000
TRUTH = Momentum(L0=2.0, A=0.4, alpha=0.5, C=1.15, decay=0.99)
RAMP = cd.Warmup(300)
CONSTANT = RAMP >> cd.Hold()
DROP = RAMP >> cd.Hold(3500) >> cd.Constant(0.1)
COSINE = RAMP >> cd.Cosine(end=0.1)
WSD = RAMP >> cd.Hold() >> cd.Linear("20%", end=0)
needs_curves = pytest.mark.skipif(bool(curves.ABSENT), reason=curves.ABSENT)


def rates_of(plan, total=TOTAL, peak=PEAK):
    return plan.resolve(total).values(total, peak)


def made(plan, *, truth=TRUTH, total=TOTAL, peak=PEAK, every=50, noise=0.0, seed=0, label=None):
    """A run that follows a law, with the noise that a log has."""
    steps = np.arange(every, total, every)
    rates = rates_of(plan, total, peak)
    losses = truth.loss(rates, steps)
    losses *= np.exp(noise * np.random.default_rng(seed).standard_normal(len(steps)))
    return logged(steps, losses, rates, label=label or repr(plan))


@pytest.fixture(scope="module")
def law():
    """A fit to runs of three schedules."""
    plans = enumerate((CONSTANT, DROP, COSINE))
    return fit([made(plan, noise=1e-3, seed=i) for i, plan in plans], law="momentum")


# Fits.


@pytest.mark.parametrize(
    "truth",
    [
        TRUTH,
        MultiPower(L0=2.0, A=0.4, alpha=0.5, B=120.0, C=0.3, beta=0.5, gamma=0.5),
        FunctionalScaling(L0=2.0, c1=0.4, s=0.5, c2=30.0, c3=2.0, c4=50.0, gamma=0.5),
    ],
    ids=lambda truth: truth.name,
)
def test_a_law_is_found_again(truth):
    """Fitted to runs that follow it, a law predicts a run that it was not shown to 0.1 %."""
    found = fit([made(plan, truth=truth) for plan in (CONSTANT, DROP)], law=truth.name)
    steps, rates = np.arange(1000, TOTAL, 100), rates_of(WSD)
    np.testing.assert_allclose(found.law.loss(rates, steps), truth.loss(rates, steps), rtol=1e-3)


def test_auto_takes_the_first_law_that_errs_least_on_what_it_was_not_shown():
    """Runs that follow the momentum law are given it, and the reason tells the errors."""
    found = fit([made(plan, noise=2e-4, seed=i) for i, plan in enumerate((CONSTANT, DROP, COSINE))])
    assert found.law.name == "momentum"
    assert "errors on left-out schedules: momentum 0.0" in found.reason
    assert [one.label for one in found.left_out] == [repr(p) for p in (CONSTANT, DROP, COSINE)]


def test_with_one_run_nothing_can_be_judged_and_it_says_so():
    """One run gives the law with the fewest parameters, and a warning."""
    found = fit([made(DROP)])
    assert found.law.name == "momentum"
    assert "cannot be judged" in found.reason
    assert "one-schedule" in found.verdict.codes
    assert "its last 30%" in found.left_out[0].label


def test_seeds_of_one_schedule_are_left_out_together():
    """Two seeds of a schedule are one group: neither judges a law that saw the other."""
    runs = [made(p, noise=1e-3, seed=s, label=f"{i}{s}") for i, p in enumerate((CONSTANT, DROP))
            for s in (0, 1)]  # fmt: skip
    found = fit(runs, law="momentum")
    assert [len(group) for group in found.groups] == [2, 2]


def test_spikes_hardly_move_a_fit(law):
    """A tenfold loss at every fiftieth step changes the forecast by less than 0.2 %."""
    runs = []
    for i, plan in enumerate((CONSTANT, DROP, COSINE)):
        run = made(plan, noise=1e-3, seed=i)
        losses = run.losses.copy()
        losses[::50] *= 10
        runs.append(logged(run.steps, losses, run.rates))
    spiked, rates = fit(runs, law="momentum").law, rates_of(WSD)
    assert spiked.loss(rates, [TOTAL - 1]) == pytest.approx(
        law.law.loss(rates, [TOTAL - 1]), rel=2e-3
    )


# What runs are read from.


def write(path, run, extra=()):
    """A run as a CSV log, with the rate of each row."""
    names = ["step", "lr", "loss", *(name for name, _ in extra)]
    lines = [",".join(names)]
    for i, (step, loss) in enumerate(zip(run.steps, run.losses, strict=True)):
        more = [str(values[i]) for _, values in extra]
        lines.append(",".join([str(step), f"{run.rates[step]:.8g}", f"{loss:.8f}", *more]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_logs_paths_directories_and_arrays_give_one_fit(tmp_path, law):
    """A log, its path, the directory that holds it and its arrays are the same run."""
    paths = []
    for name, run in zip("abc", law.logs, strict=True):
        (tmp_path / name).mkdir()
        paths.append(write(tmp_path / name / "metrics.csv", run))
    steps, rates = np.arange(1000, TOTAL, 500), rates_of(WSD)
    for runs in (paths, [p.parent for p in paths], [cd.read_run(p) for p in paths]):
        found = fit(runs, law="momentum", warmup=300)
        expected = law.law.loss(rates, steps)
        np.testing.assert_allclose(found.law.loss(rates, steps), expected, rtol=1e-3)
        assert [log.label for log in found.logs] == ["a", "b", "c"]


def test_the_folder_of_a_comparison_is_all_its_runs(tmp_path, law):
    """Every seed of every plan is read, and what only chose a peak is not."""
    (tmp_path / "comparison.json").write_text("{}", encoding="utf-8")
    for name, run in zip(("flat-1", "drop-2"), law.logs[:2], strict=True):
        for folder in ("seed-0", "seed-1", "choose-0.003/seed-7"):
            path = tmp_path / "runs" / name / folder / "metrics.jsonl"
            path.parent.mkdir(parents=True)
            rows = [
                {"step": int(step), "loss": float(loss), "lr/group0": float(run.rates[step])}
                for step, loss in zip(run.steps, run.losses, strict=True)
            ]
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = fit(tmp_path, law="momentum", warmup=300)
    labels = [log.label for log in found.logs]
    assert labels == ["drop-2/seed-0", "drop-2/seed-1", "flat-1/seed-0", "flat-1/seed-1"]
    assert [len(group) for group in found.groups] == [2, 2]


def test_a_jump_between_two_logged_rates_stays_a_jump():
    """What was logged of a drop at once is not drawn as a slope; what sloped is."""
    steps = np.arange(0, 1000, 100)
    drop = logged(steps, np.full(10, 2.0), np.where(steps < 500, 1.0, 0.1))
    assert set(drop.rates.tolist()) == {1.0, 0.1}
    assert np.flatnonzero(np.diff(drop.rates)) == [449]
    slope = logged(steps, np.full(10, 2.0), 1.0 - steps / 1000)
    np.testing.assert_allclose(slope.rates, 1.0 - np.arange(901) / 1000)


def test_groups_of_different_shapes_must_be_chosen_from(tmp_path, law):
    """Rates that differ by a factor are one; others have to be named."""
    run = law.logs[1]
    log = write(
        tmp_path / "run.csv", run, [("lr/head", run.rates[run.steps] / 10), ("x", run.steps)]
    )
    assert fit(log, law="momentum").peak == pytest.approx(PEAK)
    other = write(tmp_path / "other.csv", run, [("lr/head", run.steps * 1e-6)])
    with pytest.raises(LogError, match="rates of other shapes"):
        fit(other)
    assert fit(other, law="momentum", rate="lr").peak == pytest.approx(PEAK)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: fit([]), "fit: 'runs' must hold at least one run"),
        (lambda: fit(3), "fit: 'runs' must be runs of cadence.read_run"),
        (lambda: fit([3]), "fit: a run must be one of cadence.read_run"),
        (lambda: fit(made(DROP), law="moment"), "did you mean 'momentum'"),
        (lambda: logged([1, 2], [1.0], [1.0, 1.0]), "two lists of one length"),
        (lambda: logged([2, 1], [1.0, 1.0], [1.0, 1.0]), "in rising order"),
        (lambda: logged(range(1, 11), [-1.0] * 10, [1.0] * 10), "'losses' must be > 0"),
        (lambda: logged(range(1, 4), [1.0] * 3, [1.0] * 3), "at least 8 losses"),
        (lambda: logged(range(1, 11), [1.0] * 10, [1.0] * 9), "'rates' must be one for each"),
        (lambda: logged(range(1, 11), [1.0] * 10, [1.0] * 10, warmup=50), "'warmup' must end"),
    ],
)
def test_runs_that_cannot_be_fitted_are_told(call, told):
    """Bad runs raise where they are given, and the message says what is demanded."""
    with pytest.raises(ArgumentError, match=told):
        call()


def test_a_log_without_rates_is_told(tmp_path):
    """A log that holds a loss alone cannot be fitted, and the message says what to do."""
    path = tmp_path / "run.csv"
    path.write_text("step,loss\n" + "\n".join(f"{i},2.0" for i in range(100)), encoding="utf-8")
    with pytest.raises(LogError, match="must hold the learning rate"):
        fit(path)


def test_a_run_to_predict_is_read_as_the_fitted_ones_were(tmp_path, law):
    """The keys and the warm-up that `fit` was told of hold for `predict` too."""
    paths = [write(tmp_path / f"{i}.csv", run) for i, run in enumerate(law.logs)]
    for path in paths:
        path.write_text(path.read_text().replace("step,lr,loss", "step,eta,train/ce"))
    found = fit(paths, law="momentum", loss="train/ce", rate="eta", warmup=300)
    for run in (paths[0], cd.read_run(paths[0])):
        told = found.predict(run)
        rates = rates_of(CONSTANT)[: told.total_steps]
        assert told.final == pytest.approx(found.at_rates(rates).final, rel=1e-5)
        assert told.steps[0] == 300
    other = write(tmp_path / "other.csv", law.logs[0])
    assert found.predict(other).final == pytest.approx(told.final, rel=1e-5)
    with pytest.raises(ArgumentError, match="predict: a run must be one of cadence"):
        found.predict(3)


# Bands.


def test_the_band_is_the_widest_of_three(law):
    """Its half-width is the largest of the laws' spread, the left-out error and the floor."""
    found = law.predict(WSD, TOTAL)
    assert set(found.parts) == {"laws", "left out", "least"}
    assert found.width == max(found.parts.values()) >= forecast._verdict.FLOOR
    assert found.high[-1] / found.final - 1 == pytest.approx(found.width)
    assert 1 - found.low[-1] / found.final == pytest.approx(found.width)
    every = np.stack(list(found.laws.values()))
    assert np.all(found.low <= every + 1e-12)
    assert np.all(every <= found.high + 1e-12)


def test_a_forecast_at_logged_rates_is_that_of_the_plan(law):
    """A logged run is predicted from its rates, at its own length."""
    run = made(WSD)
    at_rates, of_plan = law.predict(run), law.predict(WSD, run.last + 1)
    assert at_rates.final == pytest.approx(of_plan.final, rel=2e-3)
    with pytest.raises(ArgumentError, match="has its own length"):
        law.predict(run, 5000)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1e-4])
def test_rates_that_cannot_be_meant_give_no_forecast(law, bad):
    """A rate that is not finite or is negative is told, and not forecast as `usable`."""
    rates = rates_of(WSD).tolist()
    assert law.at_rates(rates).final == law.predict(WSD, TOTAL).final
    with pytest.raises(ArgumentError, match="'rates' must be finite and >= 0"):
        law.at_rates([*rates, bad])
    with pytest.raises(ArgumentError, match="'rates' must not all be 0"):
        law.at_rates(np.zeros(100))
    with pytest.raises(ArgumentError, match="'rates' must be one number for each step"):
        law.at_rates([])


@needs_curves
@pytest.mark.slow
@pytest.mark.parametrize("size", curves.SIZES)
def test_fits_of_public_curves_are_as_accurate_as_published_ones(size):
    """On the paper's protocol, "auto" reaches R2 0.997 and MAE 0.0055, and bands hold all ends."""
    found = curves.fitted(size)
    scores = curves.mean(curves.scores(size, curves.predicted(size, found.law)))
    assert scores.R2 >= 0.997
    assert scores.MAE <= 0.0055
    for name in curves.HELD_OUT:
        steps, losses, _ = curves.measured(size, name)
        told = found.at_rates(curves.rates(name)[: steps[-1] + 1], name)
        assert told.low[-1] <= losses[-1] <= told.high[-1]
        assert told.width <= 0.02


# Verdicts.


def stairs():
    steps = np.arange(25, TOTAL, 25)
    plan = RAMP >> cd.Cosine(end=0.1).stairs(500)
    return logged(steps, TRUTH.loss(rates_of(plan), steps), rates_of(plan)[steps])


def overfitted():
    run = made(DROP)
    return logged(run.steps, run.losses + np.maximum(0, run.steps - 4500) * 4e-5, run.rates)


def near_zero():
    run = made(DROP)
    return logged(run.steps, np.exp(-run.steps / 1000.0), run.rates)


def wandering():
    """A run whose loss no law of these has: it falls by itself at two thirds."""
    run = made(CONSTANT)
    return logged(run.steps, run.losses - 0.15 * (run.steps > 4500), run.rates)


def late(plan):
    """A run of which the first third was not logged."""
    run = made(plan)
    kept = run.steps > 2000
    return logged(run.steps[kept], run.losses[kept], run.rates)


def endless(plan):
    """A run whose loss falls with the logarithm of the rates' sum, as if to below 0."""
    run = made(plan)
    return logged(run.steps, 3.0 - 0.6 * np.log1p(np.cumsum(run.rates)[run.steps]), run.rates)


def diverged():
    """A run whose losses are no numbers from two thirds on."""
    run = made(DROP)
    return logged(run.steps, np.where(run.steps > 4000, np.nan, run.losses), run.rates)


VERDICTS = {
    "only-constant": ("refuse", lambda: [made(CONSTANT)]),
    "only-smooth": ("refuse", lambda: [made(COSINE), made(COSINE, total=5500)]),
    "few-points": ("warn", lambda: [made(CONSTANT, every=300), made(DROP, every=300)]),
    "short-range": ("warn", lambda: [late(CONSTANT), late(DROP)]),
    "start-unlogged": ("warn", lambda: [unlogged(CONSTANT), unlogged(DROP)]),
    "rates-per-epoch": ("warn", lambda: [made(CONSTANT), stairs()]),
    "warmed-again": ("warn", lambda: [made(CONSTANT), made(REWARMED)]),
    "overfitting": ("refuse", lambda: [made(CONSTANT), overfitted()]),
    "near-zero": ("warn", lambda: [made(CONSTANT), near_zero()]),
    "peaks-differ": ("warn", lambda: [made(CONSTANT, peak=2e-3), made(DROP)]),
    "small-runs": ("warn", lambda: [made(CONSTANT, total=2000), made(HALF_DROP, total=2000)]),
    "one-schedule": ("warn", lambda: [made(DROP)]),
    "at-bound": ("warn", lambda: [endless(DROP), endless(CONSTANT)]),
    "hold-out": ("warn", lambda: [wandering(), made(DROP)]),
    "cut-off": ("warn", lambda: [made(CONSTANT), diverged()]),
}  # fmt: skip
REWARMED = RAMP >> cd.Hold(2000) >> cd.Constant(0.2, steps=2000) >> cd.Constant(1.0)
HALF_DROP = RAMP >> cd.Hold(1000) >> cd.Constant(0.1)


def unlogged(plan):
    run = made(plan)
    kept = run.steps >= 1000
    return logged(run.steps[kept], run.losses[kept], run.rates[run.steps[kept]])


@pytest.mark.parametrize("code", VERDICTS)
def test_what_speaks_against_a_fit_is_told(code):
    """Each finding is made of runs that provoke it; a refusal keeps a forecast back."""
    severity, runs = VERDICTS[code]
    found = fit(runs(), law="momentum")
    told = {finding.code: finding for finding in found.verdict.findings}
    assert code in told
    assert told[code].severity == severity
    assert len(told[code].message) > 20
    if severity == "refuse":
        assert found.verdict.refused
        with pytest.raises(ForecastError, match="force=True"):
            found.predict(WSD, TOTAL)
        assert found.predict(WSD, TOTAL, force=True).verdict.word == "refused"


def test_a_drop_whose_rate_is_rarely_logged_is_told(tmp_path):
    """Where in an epoch it dropped is not known, and one drop alone is enough to ask."""
    paths = []
    for name, plan in (("constant", CONSTANT), ("drop", DROP)):
        run = made(plan, every=25)
        rows = [{"step": int(s), "loss": x} for s, x in zip(run.steps, run.losses, strict=True)]
        rows += [{"step": int(s), "lr": float(run.rates[s])} for s in range(300, TOTAL - 25, 500)]
        paths.append(tmp_path / f"{name}.jsonl")
        paths[-1].write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    told = [f for f in fit(paths, law="momentum").verdict.findings if f.code == "rates-per-epoch"]
    assert [finding.message.partition(" at most")[0] for finding in told] == [
        "drop has rates that move every 500 steps"
    ]


def test_runs_without_fault_have_no_findings():
    """The table above can fail: good runs, long and of two schedules, are usable."""
    total = 40_000
    drop = RAMP >> cd.Hold(25_000) >> cd.Constant(0.1)
    early = [made(plan, total=total, every=50, noise=2e-4, seed=i)
             for i, plan in enumerate((CONSTANT, drop))]  # fmt: skip
    found = fit(early, law="momentum")
    assert found.verdict.codes == ()
    assert found.predict(WSD, total).verdict.word == "usable"


def test_few_points_are_refused_in_the_end():
    """Below 20 losses in all, there is no forecast."""
    found = fit([made(CONSTANT, every=600), made(DROP, every=600)], law="momentum")
    assert ("few-points", "refuse") in [f[:2] for f in found.verdict.findings]


@pytest.mark.parametrize(
    ("plan", "total", "peak", "code", "severity"),
    [
        (WSD, TOTAL, 1.2e-3, "other-peak", "warn"),
        (WSD, TOTAL, 3e-3, "other-peak", "refuse"),
        (WSD, 4 * TOTAL, None, "far", "warn"),
        (WSD, 11 * TOTAL, None, "far", "refuse"),
        (RAMP >> cd.Hold(), 500, None, "short", "refuse"),
        (REWARMED, TOTAL, None, "warmed-again", "warn"),
    ],
)
def test_what_speaks_against_a_plan_is_told(law, plan, total, peak, code, severity):
    """Another peak, a far or a near horizon, and a second warm-up; far off they are refused."""
    found = law.predict(plan, total, peak, force=True)
    assert (code, severity) in [finding[:2] for finding in found.verdict.findings]
    assert code not in law.predict(WSD, TOTAL).verdict.codes


def test_a_loss_below_zero_is_refused():
    """Where a drop is worth more than all that is left, there is no forecast."""
    truth = Momentum(L0=0.1, A=0.4, alpha=0.5, C=2.5, decay=0.99)
    plans = (CONSTANT, RAMP >> cd.Hold(3500) >> cd.Constant(0.6))
    found = fit([made(plan, truth=truth) for plan in plans], law="momentum")
    with pytest.raises(ForecastError, match="predicts a loss of -"):
        found.predict(WSD, 3 * TOTAL)
    told = found.predict(WSD, 3 * TOTAL, force=True)
    assert "below-zero" in told.verdict.codes
    assert np.all(told.low <= told.high)


# Rankings and proposals.


def test_plans_are_ranked_and_ties_told(law):
    """A plan that cools down is resolved from one that does not; two that cool down tie."""
    ranked = law.rank({"wsd": WSD, "sqrt": RAMP >> cd.Hold() >> cd.OneMinusSqrt("20%"),
                       "constant": CONSTANT}, TOTAL)  # fmt: skip
    assert {f.label for f in ranked.forecasts[:2]} == {"wsd", "sqrt"} == set(ranked.ties)
    assert ranked.places == (1, 1, 3)
    assert not ranked.resolved
    assert json.loads(json.dumps(ranked.as_dict()))["plans"][2]["place"] == 3
    with pytest.raises(ArgumentError, match="at least one plan"):
        law.rank([])


def test_a_gap_that_one_law_sees_the_other_way_is_not_resolved(law):
    """Bands alone do not resolve: every law has to agree on the sign."""
    wsd, constant = law.predict(WSD, TOTAL), law.predict(CONSTANT, TOTAL)
    assert wsd.resolved(constant)
    laws = {name: loss.copy() for name, loss in wsd.laws.items()}
    laws["functional"] += 1.0
    assert not replace(wsd, laws=laws).resolved(constant)


def test_a_small_member_of_a_family_is_proposed(law):
    """It is a plan that can be typed, and beats the cosine and other members of its family."""
    found = law.optimize(TOTAL)
    assert cd.parse(repr(found.plan)) == found.plan
    assert found.gain > 0
    assert found.resolved == found.forecast.resolved(found.against)
    assert found.gains[0] <= found.gain <= found.gains[1]
    assert 0 < found.as_good[0] <= found.as_good[1] < 1
    others = (WSD, RAMP >> cd.Hold() >> cd.Linear("40%", end=0.1))
    means = [
        np.mean([loss[-1] for loss in law.predict(plan, TOTAL).laws.values()])
        for plan in (found.plan, *others)
    ]
    assert means[0] <= min(means[1:]) + 1e-4
    with pytest.raises(ArgumentError, match="'family' must be one of"):
        law.optimize(TOTAL, "sgd")


def test_a_proposal_that_gains_nothing_does_not_call_itself_better(law, paths):
    """What is predicted to be worse is told so, without a gain and its correction."""
    found = law.optimize(TOTAL, "cosine", against=WSD)
    assert found.gain < 0
    assert f"{-found.gain:.4f} worse than Warmup" in repr(found)
    assert f"{law.optimize(TOTAL).gain:.4f} better than Warmup" in repr(law.optimize(TOTAL))
    words = [*paths, "--warmup", "300", "--law", "momentum", "--total-steps", "6000"]
    done = run_cli(*words, "--optimize", "linear").output
    assert " higher than Warmup(300) >> Cosine" in done
    assert " after 6,000 steps, " in done
    assert "as large as they were measured" not in done
    assert "as large as they were measured" in run_cli(*words, "--optimize", "wsd").output


@pytest.mark.slow
def test_a_free_schedule_is_given_when_asked_for(law):
    """It is a line through 17 points that never rises, and predicted to be about as good."""
    found = law.optimize(TOTAL, "piecewise")
    levels = [level for _, level in found.plan.parts[1].points]
    assert len(levels) == 17
    assert levels == sorted(levels, reverse=True)
    assert found.forecast.final <= law.optimize(TOTAL).forecast.final * 1.01


# The project's own small runs.


@pytest.fixture(scope="module")
def small():
    """A fit to runs of 1,200 updates of a character-level net."""
    names = [f"{plan}_{seed}" for plan in ("constant", "drop", "cosine") for seed in (0, 1)]
    return fit([SMALL / f"{name}.csv" for name in names], law="momentum", loss="val_loss")


def test_small_runs_get_the_band_that_they_need(small):
    """The verdict states the 4 % at least, and all eight longer runs end within the band."""
    findings = {finding.code: finding.message for finding in small.verdict.findings}
    assert "2-3 % off, so the band is at least 4 %" in findings["small-runs"]
    for path in sorted(SMALL.glob("long_*.csv")):
        run = cd.read_run(path, loss="val_loss")
        told = small.predict(run)
        assert told.width >= 0.04
        assert told.low[-1] <= run.loss[-1] <= told.high[-1]


@pytest.mark.parametrize("what", ["forecast-longer", "forecast-mlp"])
def test_longer_runs_of_small_nets_end_within_their_bands(what):
    """The public curves' protocol on two nets of the project's own: six ends each."""
    folder = SMALL.with_name(what)
    trained = [folder / f"{name}_0.csv" for name in curves.LONGER_TRAINED]
    found = fit(trained, loss="val_loss")
    assert "small-runs" in found.verdict.codes
    others = [path for path in sorted(folder.glob("*.csv")) if path not in trained]
    assert len(others) == 6
    for path in others:
        run = cd.read_run(path, loss="val_loss")
        told = found.predict(run)
        assert 0.04 <= told.width <= 0.06
        assert told.low[-1] <= run.loss[-1] <= told.high[-1]


def test_small_runs_rank_nothing_within_the_band(small):
    """Plans whose predictions differ by less than the band tie."""
    plans = [cd.Warmup(60) >> cd.Hold() >> cd.Linear(f"{n}%", end=0) for n in (10, 20, 30)]
    ranked = small.rank([*plans, cd.Warmup(60) >> cd.Cosine()], 2000)
    finals = [one.final for one in ranked.forecasts]
    for one, place in zip(ranked.forecasts, ranked.places, strict=True):
        if one.final < finals[0] * 1.03:
            assert place == 1


# The picture and the command.


def test_a_picture_has_what_was_measured_fitted_and_predicted(law):
    """Its data hold every curve, and the band where there is one."""
    drawn = forecast.lines(law, [law.predict(WSD, TOTAL)])
    kinds = [line.kind for line in drawn]
    assert kinds.count("measured") == kinds.count("fitted") == 3
    assert kinds.count("predicted") == 1
    assert kinds.count("rate") == 4
    above, below = forecast.plot(law, law.predict(WSD, TOTAL))
    labels = [text.get_text() for text in above.get_legend().get_texts()]
    assert sum(label.startswith("fitted") for label in labels) == 3
    assert sum(label.startswith("predicted") for label in labels) == 1
    assert below.get_ylabel() == "learning rate"


@pytest.fixture
def paths(tmp_path, law):
    return [
        str(write(tmp_path / f"{name}.csv", run)) for name, run in zip("abc", law.logs, strict=True)
    ]


def run_cli(*words):
    return CliRunner().invoke(app, ["forecast", *words], prog_name="cadence")


def test_the_command_tells_a_table_a_picture_and_json(paths, tmp_path):
    """Plans, a proposal and a picture, as text and as JSON."""
    plans = ["-p", "Warmup(300) >> Hold() >> Linear(20%, end=0)", "-p", "Warmup(300) >> Hold()"]
    words = [*paths, "--warmup", "300", "--law", "momentum", "--total-steps", "6000", *plans]
    picture = tmp_path / "forecast.png"
    done = run_cli(*words, "-o", str(picture))
    assert done.exit_code == 0, done.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    for part in ("momentum law: L0", "after 6,000 steps:", "place", "Linear", f"wrote {picture}"):
        assert part in done.output.replace("\n", "") or part in done.output
    told = json.loads(run_cli(*words, "--optimize", "linear", "--json").output)
    assert [plan["place"] for plan in told["ranking"]["plans"]] == [1, 2]
    assert told["proposal"]["plan"].startswith("Warmup(300) >> Linear")
    assert told["law"]["name"] == "momentum"


def test_the_command_refuses_what_is_refused(paths):
    """One line says why, with what to add, and --force shows it."""
    words = [paths[0], "--warmup", "300", "--total-steps", "6000", "-p", "Warmup(300) >> Cosine()"]
    done = run_cli(*words)
    assert done.exit_code == 2
    assert "add --force" in done.output
    assert run_cli(*words, "--force").exit_code == 0
    assert run_cli(*paths, "-o", "x.txt").exit_code == 2
