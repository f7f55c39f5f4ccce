"""What judges the dialects sees a difference where there is one."""

import math

import pytest
import table

pytestmark = pytest.mark.peers


@pytest.fixture(autouse=True)
def rows(monkeypatch):
    """A table of this module's own."""
    monkeypatch.setattr(table, "ROWS", {})


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([], [], 0.0),
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([1.0, 0.5], [1.0, 0.5 * (1 + 1e-9)], 1e-9),
        ([1.0, 1e-17], [1.0, 0.0], 1e-14),
        ([2.0, -0.5], [1.0, -0.5], 1.0),
        ([math.inf, 1.0], [math.inf, 1.0], 0.0),
        ([math.inf, 1.0], [2.0, 1.0], math.inf),
        ([math.nan, 1.0], [1.0, 1.0], math.inf),
        ([1.0, 0.0], [0.0, 0.0], math.inf),
    ],
)
def test_the_difference_is_relative_but_for_what_is_nearly_zero(ours, theirs, expected):
    assert table.difference(ours, theirs) == pytest.approx(expected, rel=1e-6)


def test_a_difference_fails_and_tells_the_step():
    with pytest.raises(AssertionError, match=r"lib, cosine: step 1: 0.5, theirs 0.6 \(1 steps\)"):
        table.compare("lib", "1.0", "cosine", [1.0, 0.5], [1.0, 0.6])
    assert not table.ROWS


def test_the_page_holds_the_worst_of_all_examples(tmp_path, monkeypatch):
    """One row for each schedule, in order; a file only where it was asked for."""
    for worst in (1e-16, 3.2e-15, 0.0):
        table.record("lib", "1.0", "cosine", worst)
    table.compare("lib", "1.0", "a line", [1.0, 0.5], [1.0, 0.5])
    target = tmp_path / "table.md"
    table.write()
    monkeypatch.setenv("CADENCE_TABLE", str(target))
    table.write()
    assert target.read_text(encoding="utf-8").splitlines()[-2:] == [
        "| lib | 1.0 | a line | none | 1 |",
        "| lib | 1.0 | cosine | 3.2e-15 | 3 |",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["table.md"]
