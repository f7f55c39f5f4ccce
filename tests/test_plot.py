"""Curves as data, and pictures of them: files that are really pictures, text, inline SVG."""

import subprocess
import sys
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.image import imread

import cadence as cd
from cadence import Horizon, absolute
from cadence.errors import ArgumentError, ArgumentTypeError, UnresolvedError
from cadence.plot import Curve, curve, describe, panels, plot, save, svg, terminal
from cases import CASES, three_halvings
from strategies import resolved

WSD = cd.wsd("5%", "20%")


def parsed(text):
    """An SVG or HTML text as a tree; fails where it is not well-formed."""
    return ET.fromstring(text)  # noqa: S314 - our own picture


# The data.


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.text[:50])
def test_a_curve_is_made_of_values(case):
    """Its points are whole steps in rising order, with exactly the plan's values there."""
    found = curve(case.plan, base=case.base)
    assert np.array_equal(found.values, case.plan(found.steps, case.base))
    assert np.array_equal(found.steps, found.steps.round())
    assert (np.diff(found.steps) > 0).all()
    assert found.steps[0] == 0
    assert found.total_steps - found.steps[-1] <= 1
    assert found.label == repr(case.plan)


@given(resolved(), st.sampled_from([16, 64, 4000]))
def test_thinning_loses_nothing_that_shows(drawn, points):
    """The extremes, the ends of phases and both sides of each jump are among the points."""
    plan, fitted, horizon = drawn
    found = curve(plan, horizon, points=points)
    every = fitted(np.arange(found.steps[-1] + 1))
    assert found.values.max() == every.max()
    assert found.values.min() == every.min()
    steps = set(found.steps)
    assert {float(phase.begin) for phase in found.phases} <= steps
    assert {jump - side for jump in found.jumps for side in (0, 1)} <= steps
    assert len(steps) <= 2 * points + 2 * len(found.phases) + 2


@pytest.mark.parametrize(
    ("plan", "total", "jumps"),
    [
        (cd.Linear(100), 100, []),
        (cd.Cosine(4), 4, []),
        (cd.OneMinusSqrt(100), 100, []),
        (cd.ExponentialDecay(0.1), 20, []),
        (cd.StepDecay(10), 35, [10, 20, 30]),
        (cd.StepDecay(10, 1e-3), 35, [10, 20, 30]),
        (cd.Warmup(5) >> cd.Constant(0.5, 5), 10, [5]),
        (cd.Cosine(10).repeat(), 25, [10, 20]),
        (cd.Cosine(10).repeat(), 20, [10]),
        (cd.Cosine(10).repeat(2), 20, [10]),
        (cd.PiecewiseLinear(((0, 1), (10, 1), (10, 0), (20, 0))), 20, [10]),
        (cd.Cosine(10).repeat().part(5), 20, [5, 15]),
        (cd.Cosine(10).repeat().part(5, 25, steps=10), 12, [3, 8]),
        (cd.StepDecay(10).part(5, 25, steps=80), 80, [20, 60]),
        (cd.Linear(1_000_000).repeat(), 2_500_000, [1_000_000, 2_000_000]),
    ],
)
def test_jumps_are_found(plan, total, jumps):
    """A jump is a vertical stroke; what merely falls fast is not, nor a restart after the end."""
    found = curve(plan, total)
    assert found.jumps.tolist() == jumps
    x, y = found.outline()
    assert len(x) == len(found.steps) + len(jumps)
    for jump in jumps:
        at = np.flatnonzero(x == jump)
        assert y[at].tolist() == [plan(jump - 1), plan(jump)]


@pytest.mark.parametrize(
    ("plan", "total"),
    [
        (cd.Warmup(1_000_000_007) >> cd.Cosine(8_999_999_993), 10_000_000_000),
        (cd.PiecewiseLinear(((0, 0), (123_456_789, 1), (10**9, 0.5))), 10**9),
        (cd.Warmup(12_345) >> cd.Hold(10**8) >> cd.OneMinusSqrt(10**7, end=0.1), 110_012_345),
    ],
)
def test_a_run_too_long_to_look_at_every_step(plan, total):
    """Of thousands of millions of steps, peaks and joints are still exact."""
    found = curve(plan, total)
    assert len(found.steps) < 8000
    assert found.values.max() == 1.0
    assert {float(begin) for begin in plan.compiled().begins} <= set(found.steps)
    assert np.array_equal(found.values, plan(found.steps))


def test_a_peak_between_the_points_of_the_grid_is_found():
    """The highest value of a very long run is searched for around the best point of the grid."""
    plan = cd.Linear(10**9, start=0, end=2) * cd.Linear(10**9)
    found = curve(plan, 10**9)
    assert found.values.max() == 0.5
    # Around the top of a parabola, a few steps share the highest value that a float can tell.
    assert abs(found.steps[found.values.argmax()] - 5 * 10**8) < 100


def test_a_million_steps_are_quick_and_few():
    """A million steps come to some thousand points."""
    found = curve(cd.Warmup("1%") >> cd.Cosine(), 1_000_000)
    assert 1000 < len(found.steps) < 5000


def test_infinities_and_functions_are_drawable():
    """A growth that ends in infinity, and a function that knows whole steps alone, have curves."""
    growth = curve(cd.ExponentialDecay(10.0), 1000)
    assert growth.values[-1] == np.inf
    assert plot(growth).get_ylim()[1] < np.inf
    table = [1.0, 0.5, 0.25]
    found = curve(cd.Function(lambda step: table[step], steps=2))
    assert found.values.tolist() == table


def test_x_may_count_epochs():
    """With the steps of an epoch, from an argument or the horizon, x is in epochs."""
    plan = cd.Warmup("1ep") >> cd.Cosine()
    for horizon, options in (
        (Horizon(500, steps_per_epoch=50), {}),
        (500, {"steps_per_epoch": 50}),
    ):
        found = curve(plan, horizon, unit="epochs", **options)
        assert (found.unit, found.at(500)) == ("epoch", 10)
        assert plot(found).get_xlabel() == "epoch"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: curve(cd.Cosine()), UnresolvedError, "takes the rest of the run"),
        (lambda: curve("wsd()"), ArgumentTypeError, "curve: 'plan' must be a schedule"),
        (lambda: curve(WSD, 100, unit="weeks"), ArgumentError, "'unit' must be one of 'steps'"),
        (lambda: curve(WSD, 100, unit="epochs"), UnresolvedError, "write steps_per_epoch=500"),
        (lambda: curve(WSD, 100, points=2), ArgumentError, "'points' must be >= 16"),
        (lambda: curve(WSD, 100, float("nan")), ArgumentError, "'base' must be finite"),
        (lambda: plot([]), ArgumentError, "at least one plan"),
        (lambda: plot("wsd()"), ArgumentTypeError, r"write cadence.parse\(text\)"),
        (lambda: plot(7), ArgumentTypeError, "a schedule or several"),
        (lambda: plot(cd.Constant(0.0), log=True), ArgumentError, "a positive value to draw"),
        (lambda: terminal(cd.Constant(0.0), log=True), ArgumentError, "a positive value to draw"),
        (lambda: panels({}), ArgumentError, "at least one group"),
        (
            lambda: plot([curve(WSD, 9), curve(WSD, 9, unit="epochs", steps_per_epoch=3)]),
            ArgumentError,
            "one unit",
        ),
        (lambda: save(Figure(), "x.jpg"), ArgumentError, r"end in .png, .svg or .pdf"),
    ],
)
def test_bad_calls_say_what_to_type(call, error, message):
    """Whatever cannot be drawn is refused with its reason."""
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        (
            cd.Warmup(5) >> cd.Cosine(95),
            "Warmup(5) >> Cosine(95): starts at 0.2, peaks at 1 (step 5), ends at 0 (step 100).",
        ),
        (cd.Constant(0.5, 10), "Constant(0.5, 10): 0.5 throughout, 10 steps."),
        (
            cd.Linear(4) >> cd.Rex(4, end=2),
            "Linear(4) >> Rex(4, end=2): starts at 1, is lowest at 0 (step 4), ends at 2 (step 8).",
        ),
    ],
)
def test_a_curve_is_described_in_a_line(plan, text):
    """Who cannot see the curve can read it."""
    assert describe(curve(plan)) == text


# matplotlib.


def test_a_single_plan_has_named_phases():
    """The phases of one plan are named above the axes; its text is the title."""
    ax = WSD.plot(10_000, base=3e-4)
    assert [text.get_text() for text in ax.texts] == ["hold", "1 - sqrt", "warm-up"]
    assert ax.get_title(loc="left") == repr(WSD)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "learning rate ($10^{-4}$)")
    assert ax.get_legend() is None
    ax.figure.canvas.draw()
    assert [tick.get_text() for tick in ax.get_xticklabels()][1] == "2,000"
    boxes = [text.get_window_extent() for text in ax.texts]
    assert all(box.y0 >= ax.get_window_extent().y1 for box in boxes)


def test_several_plans_have_a_legend_beside_the_curves():
    """The legend lies outside the axes, and so does not cover a curve."""
    ax = plot({"a": WSD, "b": cd.Cosine(), "c": cd.ExponentialDecay(0.999)}, 10_000)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "c"]
    assert len({line.get_color() for line in ax.lines}) == 3
    assert len({repr(line.get_linestyle()) for line in ax.lines}) >= 2
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().y0 >= ax.get_window_extent().y1
    assert not list(ax.texts)


def test_a_hundred_curves_have_a_short_legend():
    """Many groups are drawn, and the legend names a dozen and counts the rest."""
    ax = plot({f"group {i}": cd.Linear(10, end=i / 100) for i in range(100)})
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(ax.lines) == 100
    assert names[0] == "group 0"
    assert names[-1] == "group 11 and 88 more"


def test_endless_plans_go_as_far_as_the_longest():
    """Without a length of its own, a plan is drawn beside the others to their end."""
    ax = plot([cd.Linear(5000), cd.ExponentialDecay(0.9)])
    assert [line.get_xdata()[-1] for line in ax.lines] == [5000, 5000]


@pytest.mark.parametrize("log", [False, True])
def test_both_scales_show_the_curve(log):
    """The drawn line is the curve, and its highest point lies inside the axes."""
    ax = plot(WSD, 1000, log=log)
    assert ax.get_yscale() == ("log" if log else "linear")
    low, high = ax.get_ylim()
    assert low < 0.02
    assert high > 1.0
    y = ax.lines[0].get_ydata()
    assert np.nanmax(y) == 1.0
    assert np.isnan(y[-1]) == log


@pytest.mark.parametrize(
    ("plan", "base", "label"),
    [
        (cd.Linear(10), 1.0, "multiple of the base rate"),
        (cd.Linear(10), 0.5, "learning rate"),
        (cd.noam(512, 10), 1.0, "learning rate"),
        (cd.Linear(10, end=absolute(0.1)), 1.0, "learning rate at base 1"),
    ],
)
def test_the_y_axis_says_what_it_is(plan, base, label):
    """Multiples of the base, or rates: it follows from the plan and the base."""
    assert plot(plan, 10, base=base).get_ylabel() == label


@pytest.mark.parametrize(
    ("end", "value", "shown"),
    [
        (3, 0.5, "0.5"),
        (1000, 250, "250"),
        (20_000, 2500, "2,500"),
        (400_000, 50_000, "50k"),
        (10**6, 250_000, "0.25M"),
        (10**6, 0, "0"),
        (3 * 10**9, 10**9, "1B"),
    ],
)
def test_ticks_are_short(end, value, shown):
    """Long runs are labelled in thousands and millions."""
    ax = plot(cd.Linear(end))
    assert ax.xaxis.get_major_formatter()(value) == shown


def test_a_step_can_be_marked():
    """The mark is at the step's own value on every curve, in the unit of x."""
    curves = [curve(WSD, 100, base, unit="epochs", steps_per_epoch=10) for base in (0.1, 0.2)]
    ax = plot(curves, mark=90)
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert [tuple(np.ravel(dot.get_data())) for dot in dots] == [
        (9.0, one.plan(90, one.base)) for one in curves
    ]
    assert ax.texts[0].get_text() == "epoch 9"
    late = plot(cd.Linear(10), log=True, mark=10)
    assert [line for line in late.lines if line.get_marker() == "o"] == []


def test_quantities_are_drawn_above_each_other():
    """Panels share x; each has its own scale and name."""
    cycle = cd.one_cycle()
    axes = panels({"lr": cycle.lr, "momentum": cycle.momentum}, 1000, mark=500)
    assert [ax.get_ylabel() for ax in axes] == ["lr", "momentum"]
    assert [ax.get_xlabel() for ax in axes] == ["", "step"]
    assert axes[0].get_xlim() == axes[1].get_xlim() == (0, 1000)
    assert 0.8 < axes[1].get_ylim()[0] < 0.85


def test_it_draws_in_axes_that_are_given():
    """Given axes are returned, and keep their figure."""
    figure = Figure()
    ax = figure.subplots()
    assert plot(WSD, 100, ax=ax, title="mine", ylabel="rate", phases=False) is ax
    assert (ax.get_title(loc="left"), ax.get_ylabel(), len(ax.texts)) == ("mine", "rate", 0)
    several = plot([WSD, cd.Linear()], 100, title="both", phases=True)
    assert several.figure.get_suptitle() == "both"
    assert len(several.texts) == 3


def test_nothing_global_changes():
    """Drawing leaves matplotlib's parameters alone and does not even import pyplot."""
    before = dict(mpl.rcParams)
    plot([WSD, cd.Linear()], 100, log=True)
    assert dict(mpl.rcParams) == before
    code = (
        "import sys, cadence as cd\n"
        "ax = cd.wsd().plot(100)\n"
        "ax._repr_png_()\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_notebook_shows_the_axes():
    """A figure that pyplot does not know of shows itself."""
    assert WSD.plot(100)._repr_png_()[:4] == b"\x89PNG"


def test_a_png_is_not_blank(tmp_path):
    """The file holds dark text, a coloured line and white paper."""
    path = save(WSD.plot(1000), tmp_path / "plan.png")
    pixels = imread(path)[..., :3]
    assert pixels.shape[0] > 400
    assert pixels.shape[1] > 1200
    blue = np.abs(pixels - np.array([0, 0x72, 0xB2]) / 255).max(-1) < 0.02
    assert blue.sum() > 2000
    assert (pixels.max(-1) < 0.3).sum() > 500
    assert (pixels.min(-1) == 1).mean() > 0.5


def test_an_svg_is_xml_and_a_pdf_is_a_pdf(tmp_path):
    """The suffix decides, in any case of letters; a figure will do as well as axes."""
    ax = plot(WSD, 1000)
    save(ax.figure, tmp_path / "plan.svg")
    assert parsed((tmp_path / "plan.svg").read_text()).tag.endswith("svg")
    save(ax, str(tmp_path / "plan.PDF"))
    assert (tmp_path / "plan.PDF").read_bytes().startswith(b"%PDF-")


def test_saving_is_all_or_nothing(tmp_path):
    """What cannot be written leaves nothing behind; what is replaced is replaced at once."""
    ax = plot(WSD, 100)
    with pytest.raises(OSError, match="No such file"):
        save(ax, tmp_path / "absent" / "plan.png")
    target = tmp_path / "plan.png"
    target.write_bytes(b"old")

    def fail(file, **_):
        file.write_bytes(b"half")
        raise OSError("disk full")

    figure = Figure()
    figure.savefig = fail
    with pytest.raises(OSError, match="disk full"):
        save(figure, target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
    save(ax, target)
    assert list(tmp_path.iterdir()) == [target]


# Text.


@pytest.mark.parametrize("width", [40, 60, 80, 100])
@pytest.mark.parametrize("log", [False, True])
def test_the_terminal_curve_keeps_to_its_width(width, log):
    """The picture is no wider than it may be, and the text follows it."""
    lines = terminal(WSD, 10_000, base=3e-4, width=width, log=log).split("\n")
    assert all(len(line) <= width for line in lines[:-1])
    assert len(lines) == 14 + 2 + 1 + 1
    assert lines[-1].startswith("Warmup('5%')")
    assert lines[-1].endswith("peaks at 0.0003 (step 500), ends at 0 (step 10,000).")


def test_the_terminal_tells_plans_apart(monkeypatch):
    """By colour; where NO_COLOR is set, by letters."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    colored = terminal([WSD, cd.Cosine()], 100, width=60)
    assert "\033[34m█\033[0m Warmup" in colored
    assert "\033[31m█\033[0m Cosine" in colored
    monkeypatch.setenv("NO_COLOR", "1")
    plain = terminal([WSD, cd.Cosine()], 100, width=60)
    assert "\033" not in plain
    assert "\n+ Warmup" in plain
    assert "\nx Cosine" in plain
    assert "\033" not in terminal(WSD, 100, width=60)
    assert terminal([WSD, cd.Cosine()], 100, width=60, ascii_only=True).isascii()


def test_the_terminal_width_is_asked_for(monkeypatch):
    """By default the curve is as wide as the terminal."""
    monkeypatch.setenv("COLUMNS", "50")
    assert max(map(len, terminal(WSD, 100).split("\n")[:-1])) <= 50


@pytest.mark.parametrize(
    "plan",
    [cd.Constant(0.0), cd.Constant(-1.0), cd.Hold(), cd.Linear(1), cd.ExponentialDecay(10.0)],
    ids=repr,
)
def test_odd_plans_have_a_curve_too(plan):
    """Flat, negative, short and growing plans are drawn everywhere."""
    assert terminal(plan, 300, width=60)
    assert plot(plan, 300).lines
    assert parsed(svg(plan, 300))


# Notebooks.


def test_an_svg_has_a_title_for_those_who_cannot_see_it():
    """It is well-formed, small, and its title describes the curve."""
    text = svg(cd.wsd(500, 2000), 10_000)
    root = parsed(text)
    space = "{http://www.w3.org/2000/svg}"
    assert root.find(f"{space}title").text == describe(curve(cd.wsd(500, 2000), 10_000, points=99))
    assert root.get("role") == "img"
    words = [node.text for node in root.iter(f"{space}text")]
    assert words == ["hold", "1 - sqrt", "1", "0", "0", "10,000 steps"]
    assert len(text) < 20_000
    points = root.find(f".//{space}polyline").get("points").split()
    assert all(0 <= float(v) <= 640 for point in points for v in point.split(","))


@pytest.mark.parametrize(
    ("plan", "note"),
    [
        (cd.Warmup(5) >> cd.Cosine(10), ""),
        (WSD, "drawn for a run of 1,000 steps"),
        (cd.Warmup(5000) >> cd.Cosine(), "drawn for a run of 10,000 steps"),
        (cd.ExponentialDecay(0.99), "it has no end; drawn for 200 steps"),
    ],
)
def test_a_notebook_shows_text_and_curve(plan, note):
    """A plan without a length is drawn at a nominal one, and the picture says so."""
    shown = plan._repr_html_()
    root = parsed(shown)
    assert root.find("code").text == repr(plan)
    assert root.find(".//{http://www.w3.org/2000/svg}polyline") is not None
    assert (note or "</svg></div>") in shown


def test_a_notebook_shows_text_where_there_is_no_curve():
    """A plan that needs the steps of an epoch, or whose function fails, is shown as text."""
    shown = (cd.Warmup("3ep") >> cd.Cosine())._repr_html_()
    assert "steps_per_epoch" in shown
    assert "<svg" not in shown
    table = [1.0, 0.5]
    assert "<svg" not in cd.Function(lambda step: table[step])._repr_html_()
    assert "&lt;" in cd.Function(lambda step: table[step])._repr_html_()
    assert "<svg" in cd.Function(three_halvings)._repr_html_()


def test_svg_is_quick_to_import():
    """A notebook's picture and the text of a plan need neither matplotlib nor torch."""
    code = (
        "import sys, cadence as cd\n"
        "cd.wsd()._repr_html_()\n"
        "sys.exit(any(name in sys.modules for name in ('matplotlib', 'torch', 'uniplot')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_curves_are_their_own_objects():
    """A curve holds arrays, so it is compared by identity and can be a key."""
    found = curve(WSD, 10)
    assert isinstance(found, Curve)
    assert found == found  # noqa: PLR0124
    assert found != curve(WSD, 10)
    assert {found: 1}[found] == 1
