"""Typed durations, and the horizon that turns them into steps."""

import copy
import pickle
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    SequentialSampler,
    TensorDataset,
)

import cadence as cd
from cadence import Duration, Horizon
from cadence.errors import ArgumentError, UnresolvedError
from cadence.horizon import as_length, tile

# Durations.


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("5%", 5, "%"),
        ("0%", 0, "%"),
        ("100 %", 100, "%"),
        ("12.5%", Fraction(25, 2), "%"),
        (".5%", Fraction(1, 2), "%"),
        ("3ep", 3, "ep"),
        ("3 epochs", 3, "ep"),
        ("1 Epoch", 1, "ep"),
        ("0.1ep", Fraction(1, 10), "ep"),
        ("5tok", 5, "tok"),
        ("5ktok", 5_000, "tok"),
        ("2Btok", 2 * 10**9, "tok"),
        ("2Gtok", 2 * 10**9, "tok"),
        ("2 B tokens", 2 * 10**9, "tok"),
        ("1.5Mtok", 1_500_000, "tok"),
        ("15Ttokens", 15 * 10**12, "tok"),
        ("1 token", 1, "tok"),
        ("4Ksamples", 4_000, "samples"),
        ("4096 samples", 4096, "samples"),
        ("1sample", 1, "samples"),
        ("  7ep  ", 7, "ep"),
    ],
)
def test_durations_are_read(text, amount, unit):
    """An amount, a scale and a unit, in any case, with or without spaces."""
    assert Duration.parse(text) == Duration(Fraction(amount), unit)


@pytest.mark.parametrize("text", ["500steps", "500 step", "0.5Ksteps", "500st", "500.0 steps"])
def test_steps_are_plain_numbers(text):
    """A length in steps needs no horizon: it is an int at once."""
    assert Duration.parse(text) == 500
    assert type(Duration.parse(text)) is int


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("5.0%", "5%"),
        ("1500 Ktok", "1.5Mtok"),
        ("1000 Btok", "1Ttok"),
        ("5000 Ttok", "5000Ttok"),
        ("999tok", "999tok"),
        ("5tok", "5tok"),
        ("0.5tok", "0.5tok"),
        ("1234567 samples", "1.234567Msamples"),
        ("0samples", "0samples"),
        ("2.50 epochs", "2.5ep"),
        ("1000ep", "1000ep"),
        ("0.001%", "0.001%"),
    ],
)
def test_durations_are_shown_as_they_would_be_typed(text, shown):
    """The text is the shortest exact one, and reads back equal."""
    duration = Duration.parse(text)
    assert str(duration) == shown
    assert Duration.parse(shown) == duration
    assert repr(duration) == repr(shown)


@pytest.mark.parametrize(
    "text",
    [
        *("", "5", "5k", "5B", "%", "ep", "-5%", "+5%", "5%%", "1e3tok", "1_000tok", "5 parsecs"),
        *("5.%", "5,5%", "٥%", "5Kep5", "5KKtok", "5\ntok%", "nan%", "inf ep", "0x5tok", "5st ep"),
    ],
)
def test_what_is_not_a_duration_is_refused(text):
    """A text that could be meant in two ways, or in none, is not guessed at."""
    with pytest.raises(ArgumentError, match="must be a whole number of steps or a duration"):
        Duration.parse(text)


def test_durations_are_values():
    """Durations compare by amount, hash alike, are frozen, and travel."""
    a, b = Duration.parse("5%"), Duration(5.0, "%")
    assert a == b
    assert hash(a) == hash(b)
    assert a != Duration.parse("5ep")
    assert a != "5%"
    assert copy.deepcopy(a) == pickle.loads(pickle.dumps(a)) == a
    with pytest.raises(AttributeError):
        a.amount = 6
    assert Duration(0.1, "ep").amount == Fraction(1, 10)


def test_lengths_are_checked_alike():
    """Every length takes an int of any library, a duration, or its text."""
    assert as_length("Hold", "steps", np.int64(5)) == 5
    assert type(as_length("Hold", "steps", np.int64(5))) is int
    assert as_length("Hold", "steps", torch.tensor(5)) == 5
    assert as_length("Hold", "steps", "5 steps") == 5
    assert as_length("Hold", "steps", Duration.parse("5%")) == Duration.parse("5%")
    with pytest.raises(ArgumentError, match=r"Hold: 'steps' must be > 0 \(got '0ep'\)"):
        as_length("Hold", "steps", Duration.parse("0ep"), low=1)


# Horizons.


def test_durations_become_steps():
    """Each unit has its own arithmetic, exact until it is rounded half up."""
    horizon = Horizon(1000, steps_per_epoch=333, samples_per_step=256, tokens_per_step=4096)
    for length, steps in (
        (7, 7),
        ("5%", 50),
        ("0.05%", 1),
        ("0.04%", 0),
        ("100%", 1000),
        ("2ep", 666),
        ("0.5ep", 167),
        ("1Ksamples", 4),
        ("128samples", 1),
        ("127samples", 0),
        ("1Mtok", 244),
        ("2048tok", 1),
    ):
        assert horizon.steps(length) == steps, length
    assert horizon.exact(Duration.parse("1Mtok")) == Fraction(10**6, 4096)


def test_a_run_may_be_given_in_any_unit():
    """A run that does not come out even is rounded up: the last tokens need an update too."""
    assert Horizon("3ep", steps_per_epoch=250).total_steps == 750
    assert Horizon("2.5ep", steps_per_epoch=3).total_steps == 8
    assert Horizon("1Mtok", tokens_per_step=4096).total_steps == 245
    assert Horizon("1000samples", samples_per_step=100).total_steps == 10
    assert Horizon("500steps").total_steps == 500
    assert Horizon(Duration.parse("1ep"), steps_per_epoch=7).total_steps == 7


def test_sizes_of_a_step_need_not_be_whole():
    """A step may hold 2.5 samples on average, exactly."""
    horizon = Horizon(samples_per_step=2.5)
    assert horizon.steps("10samples") == 4
    assert horizon.exact(Duration.parse("1samples")) == Fraction(2, 5)


def test_horizons_are_values():
    """Horizons compare by what they know, print as Python, are frozen, and travel."""
    horizon = Horizon(100, steps_per_epoch=10, tokens_per_step=2.5)
    assert repr(horizon) == "Horizon(100, steps_per_epoch=10, tokens_per_step=2.5)"
    assert repr(Horizon()) == "Horizon()"
    assert eval(repr(horizon), vars(cd)) == horizon  # noqa: S307 - the text is ours
    assert horizon == Horizon(100, steps_per_epoch=10, tokens_per_step=2.5)
    assert horizon != Horizon(100)
    assert hash(horizon) == hash(copy.copy(horizon))
    assert pickle.loads(pickle.dumps(horizon)) == horizon
    with pytest.raises(AttributeError):
        horizon.total_steps = 5


def test_a_horizon_is_made_of_what_is_given():
    """A number, a duration or nothing will do where a horizon is asked for."""
    horizon = Horizon(5)
    assert Horizon.of(horizon) is horizon
    assert Horizon.of(5) == horizon
    assert Horizon.of(None) == Horizon()
    assert horizon.within(3) == Horizon(3)
    assert horizon == Horizon(5)


def test_a_part_of_the_run_keeps_what_a_step_holds():
    """Within a cycle, percentages are of the cycle, and epochs stay what they are."""
    part = Horizon(1000, steps_per_epoch=50).within(200)
    assert part.steps("10%") == 20
    assert part.steps("1ep") == 50
    assert Horizon().within(0).steps("10%") == 0


def test_a_run_may_be_counted_in_epochs():
    """Where a tick is an epoch, an epoch is one step long, and holds all of its samples."""
    horizon = Horizon(1001, steps_per_epoch=250, samples_per_step=32, tokens_per_step=100)
    epochs = horizon.in_epochs()
    assert epochs == Horizon(5, steps_per_epoch=1, samples_per_step=8000, tokens_per_step=25_000)
    assert Horizon().in_epochs() == Horizon(steps_per_epoch=1)
    with pytest.raises(UnresolvedError, match="it needs steps_per_epoch"):
        Horizon(1000).in_epochs()


@pytest.mark.parametrize(
    ("duration", "message"),
    [
        ("5%", "'5%' needs the length of the run; write plan.resolve(10_000)"),
        ("1ep", "'1ep' needs steps_per_epoch; write plan.resolve(Horizon(10_000, steps_per_e"),
        ("1tok", "'1tok' needs tokens_per_step; write plan.resolve(Horizon(10_000, tokens_per"),
        ("1samples", "'1samples' needs samples_per_step; write plan.resolve(Horizon(10_000, s"),
    ],
)
def test_a_horizon_says_what_it_lacks(duration, message):
    """A duration that cannot be turned into steps names what would be needed."""
    with pytest.raises(UnresolvedError) as caught:
        Horizon().steps(duration)
    assert str(caught.value).startswith(message)


# Loaders.


@pytest.mark.parametrize(
    ("options", "printed", "horizon"),
    [
        (
            {"epochs": 3, "accumulate": 4},
            "1000 batches / 4 accumulated = 250 updates an epoch; x 3 epochs = 750 updates\n",
            Horizon(750, steps_per_epoch=250),
        ),
        (
            {},
            "1000 batches = 1000 updates an epoch; x 1 epochs = 1000 updates\n",
            Horizon(1000, steps_per_epoch=1000),
        ),
        (
            {"epochs": 2, "accumulate": 3, "world_size": 8},
            (
                "1000 batches / 8 processes / 3 accumulated = 42 updates an epoch; "
                "x 2 epochs = 84 updates\n"
            ),
            Horizon(84, steps_per_epoch=42),
        ),
        ({"quiet": True}, "", Horizon(1000, steps_per_epoch=1000)),
    ],
)
def test_the_arithmetic_is_printed(capsys, options, printed, horizon):
    """A horizon from a loader shows how it came about, unless told to be quiet."""
    assert Horizon.from_loader(1000, **options) == horizon
    assert capsys.readouterr().out == printed


def test_samples_and_tokens_of_a_step_are_derived():
    """A step holds the batches of all accumulations and processes."""
    horizon = Horizon.from_loader(
        100, accumulate=4, world_size=2, samples_per_batch=8, tokens_per_sample=1024, quiet=True
    )
    assert horizon.samples_per_step == 8 * 4 * 2
    assert horizon.tokens_per_step == 8 * 4 * 2 * 1024
    assert horizon.steps("1Mtok") == round(10**6 / 65536)


def test_real_loaders_are_understood():
    """A DataLoader tells its batches and batch size; with a batch sampler, only the batches."""
    data = TensorDataset(torch.zeros(103))
    horizon = Horizon.from_loader(DataLoader(data, batch_size=10), epochs=2, quiet=True)
    assert horizon == Horizon(22, steps_per_epoch=11, samples_per_step=10)
    dropped = Horizon.from_loader(DataLoader(data, batch_size=10, drop_last=True), quiet=True)
    assert dropped.total_steps == 10
    sampler = BatchSampler(SequentialSampler(data), 10, drop_last=False)
    horizon = Horizon.from_loader(DataLoader(data, batch_sampler=sampler), quiet=True)
    assert horizon == Horizon(11, steps_per_epoch=11)
    assert Horizon.from_loader([1, 2, 3], quiet=True).total_steps == 3
    assert Horizon.from_loader(np.int64(5), quiet=True).total_steps == 5


def test_a_stream_has_no_length():
    """A loader over a stream cannot say how long it is, and the message says what to write."""

    class Stream(IterableDataset):
        def __iter__(self):
            return iter(())

    with pytest.raises(ArgumentError, match=r"'loader' must have a length .*; write Horizon\("):
        Horizon.from_loader(DataLoader(Stream()))


# Tiling.


@pytest.mark.parametrize(
    ("shares", "total", "lengths"),
    [
        (["10/3", "10/3", "10/3"], 10, [4, 3, 3]),
        (["1/2", "1/2"], 1, [1, 0]),
        (["1/3", "2/3"], 1, [0, 1]),
        (["5", "5/2", "5/2"], 10, [5, 3, 2]),
        (["5/2", "5", "5/2"], 10, [3, 5, 2]),
        (["0", "0", "7"], 7, [0, 0, 7]),
        (["1/10"] * 10, 1, [1] + [0] * 9),
        ([], 0, []),
    ],
)
def test_tiling_by_the_largest_remainder(shares, total, lengths):
    """The largest remainders are rounded up, of equal ones the earlier; whole shares are kept."""
    assert tile([Fraction(share) for share in shares], total) == lengths


def test_three_thirds_are_a_whole():
    """Percentages are exact: ten times 10 % and three times a third are all of any run."""
    ten = cd.Linear("10%")
    for _ in range(9):
        ten = ten >> cd.Linear("10%")
    for total in (1, 7, 99, 10**9 + 7):
        assert ten.resolve(total).steps == total
