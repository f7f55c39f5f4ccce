"""What all readers of other libraries' schedules have in common."""

import subprocess
import sys

import pytest

import cadence
from cadence import dialects
from cadence.dialects import _common
from cadence.errors import ArgumentError, ArgumentTypeError

OF_TORCH = {"from_torch", "from_lightning"}
"""The readers of live torch objects."""


def test_every_reader_is_found_under_its_name():
    assert set(dialects.__all__) == set(dialects._HOMES)
    assert set(dir(dialects)) >= set(dialects.__all__)
    for name, home in dialects._HOMES.items():
        reader = getattr(dialects, name)
        assert (reader.__name__, reader.__module__) == (name, f"cadence.dialects.{home}")
    with pytest.raises(AttributeError, match="from_nowhere"):
        _ = dialects.from_nowhere


@pytest.mark.parametrize("reader", sorted(set(dialects.__all__) - OF_TORCH))
def test_a_reader_loads_neither_torch_nor_its_library(reader):
    """A plan can be had on a machine that has nothing but Cadence's own core."""
    code = f"import sys; from cadence.dialects import {reader}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"torch", "matplotlib", "jax", reader.removeprefix("from_")}


def test_a_package_costs_nothing_to_import():
    """No reader is loaded before it is asked for."""
    code = "import sys, cadence.dialects; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not [name for name in done.stdout.split() if name.startswith("cadence.dialects.")]


def test_keywords_are_checked_in_the_librarys_words():
    def line(total_steps, lr=1.0):
        return total_steps, lr

    assert _common.call("line", line, {"total_steps": 5}) == (5, 1.0)
    with pytest.raises(ArgumentTypeError, match=r"line: unknown argument 'totalsteps'; did you me"):
        _common.call("line", line, {"totalsteps": 5})
    with pytest.raises(ArgumentTypeError, match=r"line: unknown argument 5; it takes total_steps"):
        _common.call("line", line, {5: 5})
    with pytest.raises(ArgumentTypeError, match="line: 'total_steps' must be given"):
        _common.call("line", line, {"lr": 5})


def test_steps_may_be_whole_floats():
    assert _common.steps("line", "n", 1e3) == 1000
    for value in (2.5, "5", None, True, float("nan"), float("inf")):
        with pytest.raises(ArgumentTypeError, match="line: 'n' must be a whole number"):
            _common.steps("line", "n", value)


@pytest.mark.parametrize(
    ("rate", "peak", "level"),
    [(0.1, 0.5, 0.2), (0.1, None, cadence.absolute(0.1)), (0, None, 0.0), (0, 0.5, 0.0)],
)
def test_a_rate_is_a_multiple_where_the_peak_is_known(rate, peak, level):
    assert _common.as_level("line", "min_lr", rate, peak) == level
    with pytest.raises(ArgumentError, match="line: 'min_lr' must be a number"):
        _common.as_level("line", "min_lr", "low", peak)


def test_a_warm_up_of_no_steps_is_left_out():
    warm, line = cadence.Warmup(0, start=0), cadence.Linear(5)
    assert _common.timeline(warm, line) == line
    assert _common.timeline(warm) == warm
    low = cadence.Constant(0.5, 0)
    assert _common.timeline(low, line) == low >> line
