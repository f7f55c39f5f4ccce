"""The report: one page that needs nothing else, and one picture, whatever the runs were like."""

import dataclasses
import itertools
import math
import re
import shutil
from html.parser import HTMLParser

import matplotlib.image
import numpy as np
import pytest

import cadence as cd
from cadence import forecast
from cadence.compare._longer import outlook
from cadence.compare._pictures import band, differences
from cadence.compare._report import write
from comparisons import PLANS, comparison, curve, trial

SETTINGS = {
    "seeds": [0, 1, 2],
    "peaks": [1e-3, 3e-3],
    "versions": {"cadence": "0.2.0", "torch": "2.13.0"},
    "command": "python train.py --fast & echo '<done>'",
}


def trained(scores=(2.05, 2.16, 2.01, 2.08), **more):
    """Four plans with three seeds, after peaks were tried; one run diverged and one crashed."""
    trials = []
    for place, (name, score) in enumerate(zip(PLANS, scores, strict=True)):
        for seed in range(3):
            shift = 0.04 * seed + 0.003 * ((7 * place + 5 * seed) % 4)
            trials.append(trial(name, seed, score + shift, peak=3e-3, seconds=10.0))
        trials += [
            trial(name, 10_000, score + 50 * abs(peak - 3e-3), peak=peak, role="peak")
            for peak in (1e-3, 3e-3, 1e-2)
        ]
    steps, loss = curve(5.0)
    broken = {"steps": steps[:9], "metrics": {"loss": np.append(loss[:8], np.nan)}, "peak": 3e-3}
    trials[-4] = trial("one-cycle", 2, math.inf, "diverged", error="loss was nan", **broken)
    error = "Traceback (most recent call last):\nRuntimeError: <b>bold</b> & out of memory"
    trials[8] = trial("cosine", 2, status="crashed", error=error, peak=3e-3)
    fields = {"title": "Plans & <plans>", "settings": SETTINGS, **more}
    return comparison(dict.fromkeys(PLANS, ()), trials=trials, **fields)


class Page(HTMLParser):
    """What a browser would be asked for, and the text that it would show."""

    def __init__(self, text):
        super().__init__()
        self.asked, self.tags, self.text = [], set(), ""
        self.open = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag not in ("meta", "link", "br", "use", "path"):
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "srcset", "action", "poster", "data"):
                self.asked.append(value)
            self.asked += re.findall(r"url\(([^)]+)\)", value or "")

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    found = trained()
    return found, found.report(folder)


def test_a_report_is_a_page_and_a_picture(written):
    """Both are whole, and nothing else is left behind."""
    _, page = written
    assert sorted(file.name for file in page.parent.iterdir()) == ["report.html", "report.png"]
    height, width, _ = matplotlib.image.imread(page.with_suffix(".png")).shape
    assert width > 900
    assert height > 900


def test_the_page_needs_nothing_else(written):
    """No script, no reference that leaves the page, no name of any host."""
    text = written[1].read_text("utf-8")
    page = Page(text)
    assert all(one.startswith(("#", "data:,")) for one in page.asked)
    assert not page.tags & {"script", "iframe", "img", "object", "embed", "base"}
    assert "http" not in text
    assert "@import" not in text
    assert text.count("<svg") == 3


def test_the_page_tells_the_verdict_and_every_run(written):
    """The sentences, the plans, all pairs, all runs with their ends, and how to repeat it."""
    found, path = written
    text = " ".join(Page(path.read_text("utf-8")).text.split())
    verdict = found.verdict()
    assert verdict.headline in text
    assert all(" ".join(sentence.split()) in text for sentence in verdict.sentences)
    assert all(repr(plan) in text for plan in found.plans.values())
    assert "All 24 runs" in text
    assert "loss was nan" in text
    assert "torch 2.13.0" in text
    assert SETTINGS["command"] in text
    assert "0.001, 0.003" in text


def test_the_verdict_that_is_given_is_told(tmp_path, monkeypatch):
    """Nothing is judged again, and the page has its sentences in place of those of all pairs."""
    found = comparison({"a": [2.0, 2.1, 2.2], "b": [1.0, 1.11, 1.2], "c": [1.5, 1.6, 1.71]})
    own, given = found.verdict(), found.verdict(reference="a")
    assert own.headline != given.headline
    monkeypatch.setattr("cadence.compare._report.judge", lambda *_: pytest.fail("judged again"))
    text = " ".join(Page(found.report(tmp_path, verdict=given).read_text("utf-8")).text.split())
    assert given.headline in text
    assert own.headline not in text


def test_what_users_write_is_text(written):
    """Titles, commands and errors are shown, not obeyed."""
    text = written[1].read_text("utf-8")
    assert "<b>" not in text
    assert "<plans>" not in text
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; out of memory" in text


@pytest.mark.slow
def test_the_same_comparison_gives_the_same_report(written, tmp_path):
    """Byte for byte, so that a report under version control changes when its runs do."""
    again = write(trained(), tmp_path / "other" / "name.html")
    assert again.read_bytes() == written[1].read_bytes()
    assert again.with_suffix(".png").read_bytes() == written[1].with_suffix(".png").read_bytes()


def test_names_are_drawn_as_they_are(tmp_path):
    """Formulas, markup, leading underscores and other scripts in names break nothing."""
    names = ["$x", "a$b$c", "_hidden", "<i>&amp;", "余弦", "{{ 1 }}"]
    rows = {name: [2.0 + 0.1 * i, 2.1 + 0.1 * i + 0.001 * i] for i, name in enumerate(names)}
    text = write(comparison(rows), tmp_path).read_text("utf-8")
    shown = Page(text).text
    assert all(f"{name} over" in shown or f"over {name}" in shown for name in names)
    assert "<i>" not in text


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(comparison({"a": ()}), id="nothing"),
        pytest.param(
            comparison({"wsd": [2.0, 2.1], "cosine": [2.2, 2.31]}, total_steps=None),
            id="no length",
        ),
        *(
            pytest.param(found, id=name, marks=pytest.mark.slow)
            for name, found in {
                "one plan": comparison({"a": [2.0, 2.1]}),
                "one seed": comparison({"a": [2.0], "b": [1.0]}),
                "no curves": comparison({"a": [2.0, 2.1], "b": [2.0, 2.1]}, curves=False),
                "max": comparison({"a": [0.9, 0.91], "b": [0.8, 0.83]}, mode="max", metric="a$c$"),
                "diverged": comparison({"a": ()}, trials=[trial("a", 0, math.inf, "diverged")]),
            }.items()
        ),
    ],
)
def test_every_comparison_has_a_report(found, tmp_path):
    """Also one of which there is little to tell."""
    text = write(found, tmp_path).read_text("utf-8")
    assert found.verdict().headline in Page(text).text
    assert (tmp_path / "report.png").stat().st_size > 5000


def test_a_failed_report_leaves_the_old_one(written, tmp_path, monkeypatch):
    """What cannot be finished is not there in part, and what was there stays."""
    for name in ("report.html", "report.png"):
        (tmp_path / name).write_bytes(b"before")
    monkeypatch.setattr("pathlib.Path.write_text", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(comparison({"a": [2.0]}), tmp_path)
    assert (tmp_path / "report.html").read_bytes() == b"before"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["report.html", "report.png"]


def test_a_report_is_a_page_or_a_folder(tmp_path):
    """Another suffix is a mistake, and the error says what to write."""
    with pytest.raises(ValueError, match=r"must be a folder or end in \.html .*report\.html'"):
        write(trained(), tmp_path / "report.pdf")


def test_bands_are_the_mean_and_the_range_of_the_seeds():
    """Long runs are drawn by means over stretches; runs that failed are apart."""
    found = trained()
    one = band(found, "cosine")
    judged = [t for t in found.trials if (t.plan, t.role) == ("cosine", "verdict")]
    rows = [trial.metrics["loss"] for trial in judged if trial.status == "finished"]
    assert np.allclose(one.mean, np.mean(rows, axis=0))
    assert np.allclose(one.low, np.minimum(*rows))
    assert np.allclose(one.high, np.maximum(*rows))
    assert one.steps[0] == found.trials[0].steps[0]
    assert len(band(found, "one-cycle").lost) == 1
    few = band(found, "cosine", points=7)
    assert len(few.steps) <= 7
    assert few.mean.mean() == pytest.approx(one.mean.mean(), abs=0.05)


def test_seeds_and_intervals_are_drawn_where_they_are():
    """Every seed of a pair is a dot, and its interval a line, on the axis of the differences."""
    verdict = trained().verdict()
    (ax,) = differences(verdict).axes
    drawn = [line.get_xdata() for line in ax.lines]
    for pair in verdict.pairs:
        assert any(np.array_equal(x, pair.differences) for x in drawn)
        if math.isfinite(pair.low):
            assert any(np.array_equal(x, [pair.low, pair.high]) for x in drawn)


def test_the_page_and_the_verdict_tell_the_same_number_of_seeds(tmp_path):
    """It is rounded in both, since no more than two digits of it are meant."""
    noise = np.tile([0.1, -0.1], 6)
    found = comparison({"a": np.linspace(2, 2.4, 12), "b": np.linspace(2, 2.4, 12) + noise + 0.02})
    (told,) = re.findall(r"about \d+", found.verdict().headline)
    shown = Page(write(found, tmp_path).read_text("utf-8")).text
    assert set(re.findall(r"about \d+", shown)) == {told}


def test_names_as_long_as_a_plan_leave_the_axes_their_room():
    """Plans without a name are called by their text: it is written in lines that fit."""
    names = ["Warmup('5%') >> Hold() >> OneMinusSqrt('20%')", "Warmup('5%') >> Cosine(end=0.01)"]
    names += ["x" * 300]
    rows = {name: [2.0, 2.1 + 0.1 * i, 2.3 - 0.07 * i] for i, name in enumerate(names)}
    figure = differences(comparison(rows).verdict())
    figure.draw_without_rendering()
    (ax,) = figure.axes
    drawn = [text.get_window_extent() for text in ax.texts]
    assert ax.get_window_extent().width > 0.9 * figure.bbox.width
    assert all(box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 for box in drawn)
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(drawn))


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_opens_it_offline(written, scheme):
    """Chromium asks for nothing, has nothing to complain of, and needs no sideways scrolling."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium on this machine")
    api = pytest.importorskip("playwright.sync_api")
    page_url = written[1].as_uri()
    asked, told = [], []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(
            offline=True, color_scheme=scheme, viewport={"width": 360, "height": 740}
        )

        def answer(route):
            if route.request.url == page_url:
                route.continue_()
            else:
                asked.append(route.request.url)
                route.abort()

        context.route("**/*", answer)
        page = context.new_page()
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.goto(page_url)
        for details in page.query_selector_all("summary"):
            details.click()
        wide = page.evaluate("document.documentElement.scrollWidth")
        paper, ink = (
            page.evaluate(f"getComputedStyle(document.body).{name}")
            for name in ("backgroundColor", "color")
        )
        drawn = [svg.bounding_box()["height"] for svg in page.query_selector_all("figure svg")]
        browser.close()
    assert (asked, told) == ([], [])
    assert wide == 360
    assert all(height > 100 for height in drawn)
    brightness = [sum(map(int, re.findall(r"\d+", color)[:3])) for color in (paper, ink)]
    assert (brightness[0] > brightness[1]) is (scheme == "light")


LONGER = {
    "constant": cd.Warmup(50) >> cd.Hold(),
    "drop": cd.Warmup(50) >> cd.Hold("70%") >> cd.Constant(0.1),
    "wsd": cd.Warmup(50) >> cd.Hold() >> cd.Linear("20%", end=0),
}


def lawful(steps=2000, every=40, seeds=2):
    """Plans whose losses follow a law, with noise of a seed each."""
    law = forecast.MultiPower(L0=2.0, A=0.4, alpha=0.5, B=120.0, C=0.3, beta=0.5, gamma=0.5)
    noise, trials = np.random.default_rng(0), []
    for name, plan in LONGER.items():
        rates = plan.resolve(steps).values(steps, 1e-3)
        at = np.arange(every - 1, steps, every)
        for seed in range(seeds):
            loss = law.loss(rates, at) * (1 + 1e-3 * noise.standard_normal(len(at)))
            logs = {"metrics": {"loss": loss}, "values": {"lr/group0": rates[at]}}
            trials.append(trial(name, seed, loss[-1], steps=at, peak=1e-3, **logs))
    scores = dict.fromkeys(LONGER, ())
    made = comparison(scores, trials=trials, total_steps=steps)
    return law, dataclasses.replace(made, plans=LONGER)


def test_longer_runs_are_forecast(tmp_path):
    """Each plan is predicted at twice and thrice the length, within the band of the law itself."""
    law, compared = lawful()
    told = outlook(compared)
    assert list(told.rankings) == [4000, 6000]
    assert [plan for plan, _ in told.rows()][-1] == "constant"
    for steps, ranked in told.rankings.items():
        for one in ranked.forecasts:
            rates = LONGER[one.label].resolve(steps).values(steps, 1e-3)
            assert one.low[-1] <= law.loss(rates, [steps - 1])[0] <= one.high[-1]
    page = write(compared, tmp_path).read_text(encoding="utf-8")
    text = Page(page).text
    assert "In longer runs" in text
    assert all(sentence in text for sentence in told.sentences)
    assert "no confidence interval" in text


def test_why_there_is_no_forecast_is_told(tmp_path):
    """Runs of which none lowers its rate tell nothing of what a drop gains."""
    page = write(comparison({"constant": (2.0, 2.1), "wsd": (1.9, 2.0)}), tmp_path)
    assert "No forecast: no run lowers its rate" in Page(page.read_text(encoding="utf-8")).text


@pytest.mark.parametrize(
    "change", [{"mode": "max"}, {"total_steps": None}, {"trials": ()}], ids=lambda c: next(iter(c))
)
def test_without_a_loss_to_fit_nothing_is_said_of_longer_runs(change):
    """More being better, a run of unknown length, no run at all."""
    assert outlook(dataclasses.replace(lawful(seeds=1)[1], **change)) is None


def test_a_loss_that_was_seldom_measured_is_stood_for_by_another():
    """Where the judged one has too few points, the loss that was logged most is fitted."""
    _, compared = lawful(seeds=1)
    seldom = [
        dataclasses.replace(
            t, metrics={"val_loss": np.where(t.steps % 500 == 499, 2.0, np.nan), **t.metrics}
        )
        for t in compared.trials
    ]
    told = outlook(dataclasses.replace(compared, metric="val_loss", trials=tuple(seldom)))
    assert told.metric == "loss"
