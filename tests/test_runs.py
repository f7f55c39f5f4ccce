"""Reading runs back: what was logged, exactly, whichever library wrote it and however it ended."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cadence as cd
from cadence import read_run
from cadence.errors import LogError, LogWarning
from cadence.logs import CSV, JSONL, TensorBoard

DATA = Path(__file__).parent / "data"

NAN = math.nan


def same(found, expected):
    """Whether two lists of numbers are the same to the last bit, NaN included."""
    return [repr(float(value)) for value in found] == [repr(float(value)) for value in expected]


# Round trips.

keys = st.text(min_size=1).filter(lambda key: key != "step")
rows = st.lists(
    st.tuples(
        st.integers(0, 50),
        st.dictionaries(
            st.one_of(st.sampled_from(["lr/head", "loss"]), keys),
            st.floats() | st.sampled_from([0.1, -0.0, 5e-324, 1e308, NAN, math.inf]),
            min_size=1,
            max_size=3,
        ),
        st.none() | st.tuples(keys, st.text()),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("kind", [CSV, JSONL], ids=lambda kind: kind.__name__)
@given(rows=rows)
def test_what_is_written_is_read(kind, rows, tmp_path_factory):
    """Any keys, any numbers, any texts, over several processes: all of it, to the last bit."""
    path = tmp_path_factory.mktemp("log") / f"run.{kind.__name__.lower()}"
    sink = kind(path)
    numbers: dict[str, dict[int, float]] = {}
    texts: dict[str, list[tuple[int, str]]] = {}
    for step, values, text, resume in rows:
        if resume:
            sink.close()
            sink = kind(path)
        sink.scalars(step, values)
        for key, value in values.items():
            kept = {at: old for at, old in numbers.get(key, {}).items() if at < step}
            numbers[key] = kept | {step: value}
        if text is not None:
            sink.text(step, *text)
            told = [one for one in texts.get(text[0], []) if one[0] <= step]
            texts[text[0]] = told + [(step, text[1])] * ((step, text[1]) not in told)
    sink.close()
    run = read_run(path)
    assert set(run.series) == set(numbers)
    for key, expected in numbers.items():
        steps, values = run[key]
        assert steps.tolist() == list(expected)
        assert same(values, expected.values())
    assert {key: [(t.step, t.text) for t in run.texts if t.key == key] for key in texts} == texts
    steps = sorted({step for series in numbers.values() for step in series})
    assert run.steps.tolist() == steps
    for key, expected in numbers.items():
        assert same(run.values[key], [expected.get(step, NAN) for step in steps])


@pytest.mark.parametrize("kind", [CSV, JSONL], ids=lambda kind: kind.__name__)
def test_a_line_that_was_cut_off_is_left_out(kind, tmp_path):
    """Wherever a process died within its last line, the lines before it are read, and go on."""
    path = tmp_path / f"run.{kind.__name__.lower()}"
    with kind(path) as sink:
        for step in range(3):
            sink.scalars(step, {"lr/größe": 0.125 * step, "loss": 1.0 / (step + 1)})
    data = path.read_bytes()
    begin = data[:-1].rfind(b"\n") + 1
    for cut in range(begin, len(data)):
        path.write_bytes(data[:cut])
        whole = kind is JSONL and cut == len(data) - 1  # it says itself that it is
        assert read_run(path).steps.tolist() == ([0, 1, 2] if whole else [0, 1])
        assert path.read_bytes() == data[:cut]
        with kind(path) as sink:
            sink.scalars(2, {"lr/größe": 9.0})
            sink.scalars(3, {"lr/größe": 10.0, "new": 1.0})
        run = read_run(path)
        assert run.values["lr/größe"].tolist() == [0.0, 0.125, 9.0, 10.0]
        assert same(run.values["new"], [NAN, NAN, NAN, 1.0])


def test_a_table_stays_a_table(tmp_path):
    """Every row has as many cells as the header, whenever its columns came."""
    path = tmp_path / "run.csv"
    with CSV(path) as sink:
        sink.scalars(0, {"a": 1.0})
        sink.scalars(1, {"b": 2.0})
    with CSV(path) as sink:
        sink.scalars(2, {"b": NAN, "c": -math.inf})
        sink.scalars(3, {"a": 1e-7})
    lines = ["step,a,b,c", "0,1.0,,", "1,,2.0,", "2,,nan,-inf", "3,1e-07,,"]
    assert path.read_text().splitlines() == lines
    assert [path.name for path in tmp_path.iterdir()] == ["run.csv"]


def test_json_lines_are_json(tmp_path):
    """Every line is strict JSON, also where a number is not finite."""
    path = tmp_path / "run.jsonl"
    with JSONL(path) as sink:
        sink.scalars(0, {"a": NAN, "b": math.inf, "c": -math.inf, "d": 0.1})
        sink.text(0, "plan", "Warmup(5)\n>> Hold()")

    def refuse(constant):
        raise ValueError(constant)

    lines = [json.loads(x, parse_constant=refuse) for x in path.read_text().splitlines()]
    assert lines == [
        {"step": 0, "a": "nan", "b": "inf", "c": "-inf", "d": 0.1},
        {"step": 0, "texts": {"plan": "Warmup(5)\n>> Hold()"}},
    ]


# Logs of others.


def test_the_state_of_trainer():
    """Transformers' history: losses, rates, evaluations, counted from 1 as Trainer does."""
    run = read_run(DATA / "trainer_state.json")
    assert run.kind == "Trainer"
    assert run.steps.tolist() == list(range(1, 9))
    assert run.loss_key == "loss"
    assert run.loss[0] == 10.261369705200195
    plan = (cd.Warmup(2) >> cd.Linear()).resolve(8)
    assert run.rates.keys() == {"learning_rate"}
    assert run["learning_rate"].values.tolist() == plan(np.arange(8), 0.1).tolist()
    assert run["eval_loss"].steps.tolist() == [4, 8]
    assert run.metadata["max_steps"] == 8
    assert repr(run).startswith("Run(Trainer, 8 steps from 1 to 8, epoch, grad_norm, learning_")


def test_the_newest_checkpoint_of_trainer(tmp_path):
    """Of a directory of checkpoints the last one's state is read, by its number."""
    state = json.loads((DATA / "trainer_state.json").read_text())
    for step in (4, 8, 12):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        history = [row for row in state["log_history"] if row["step"] <= step]
        (folder / "trainer_state.json").write_text(json.dumps({"log_history": history}))
        (folder / "config.json").write_text("{}")
    (tmp_path / "runs" / "now").mkdir(parents=True)
    (tmp_path / "runs" / "now" / "events.out.tfevents.1").touch()
    run = read_run(tmp_path)
    assert run.path == tmp_path / "checkpoint-12" / "trainer_state.json"
    assert run.steps[-1] == 8
    assert read_run(tmp_path / "checkpoint-4").steps[-1] == 4
    (tmp_path / "checkpoint-4" / "trainer_state.json").write_text('{"log_history": []}')
    assert len(read_run(tmp_path / "checkpoint-4").steps) == 0


def test_the_metrics_of_lightning():
    """Lightning's table, in which rates and losses have rows of their own."""
    run = read_run(DATA / "metrics.csv")
    assert run.kind == "CSV"
    assert run.steps.tolist() == list(range(8))
    assert run.loss_key == "train_loss_step"
    assert not np.isnan(run.loss).any()
    plan = (cd.Warmup(2) >> cd.Linear()).resolve(8)
    assert list(run.rates) == ["lr-SGD/backbone", "lr-SGD/head"]
    for name, base in (("backbone", 0.05), ("head", 0.1)):
        assert run.values[f"lr-SGD/{name}"].tolist() == plan(np.arange(8), base).tolist()
    assert run["train_loss_epoch"].steps.tolist() == [3, 7]


OTHER = {
    "log.jsonl": """{"lr": 0.1, "loss": 2.0, "epoch": 1, "iter": 1, "step": 1}
{"step": 2, "loss": NaN}""",
    "scalars.json": """{"config": {"lr": 0.1}}
{"step": 1, "loss": 2}

{"step": 2, "loss": NaN, "mode": "train"}
""",
    "log.ndjson": '[{"step": 1, "loss": 2, "done": true}, {"step": 2, "loss": "NaN"}]',
    "log.csv": "\ufeffStep,loss,note\r\n1,2.0,go\r\n2,nan,\r\n",
    "metrics.csv": 'iter,"loss"\n1,2.0\n2,NaN\n3,1.0',
}


@pytest.mark.parametrize(("name", "text"), OTHER.items(), ids=OTHER)
def test_other_tables(name, text, tmp_path):
    """The forms in which people and programs write such files themselves."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    run = read_run(tmp_path / name)
    assert run["loss"].steps.tolist() == [1, 2]
    assert same(run.loss, [2.0, NAN])
    assert "note" not in run.series
    assert "done" not in run.series


def test_the_step_and_the_loss_may_be_named(tmp_path):
    """Where a log calls them otherwise; steps that are not whole stay what they are."""
    path = tmp_path / "log.jsonl"
    path.write_text('{"epoch": 0.5, "objective": 3}\n{"epoch": 1.0, "objective": 2, "step": 1}\n')
    run = read_run(path, step="epoch", loss="objective")
    assert run.steps.tolist() == [0.5, 1.0]
    assert run.loss.tolist() == [3.0, 2.0]
    assert read_run(path)["objective"].steps.tolist() == [1]


@pytest.mark.parametrize(
    ("key", "is_loss", "is_rate"),
    [
        ("loss", True, False),
        ("train/loss", True, False),
        ("Loss/train", True, False),
        ("training_loss_epoch", True, False),
        ("val_loss", False, False),
        ("eval/loss", False, False),
        ("train_step", False, False),
        ("gloss", False, False),
        ("lr", False, True),
        ("lr/head", False, True),
        ("g/lr/head", False, True),
        ("train/learning_rate", False, True),
        ("lr-AdamW/pg1", False, True),
        ("lr-AdamW/pg1-momentum", False, False),
        ("plan/lr/head", False, False),
        ("momentum/head", False, False),
        ("lrs", False, False),
    ],
)
def test_keys_are_recognised(key, is_loss, is_rate, tmp_path):
    """Which key is the training loss, and which are rates."""
    with JSONL(tmp_path / "log.jsonl") as sink:
        sink.scalars(0, {key: 1.0})
    run = read_run(tmp_path)
    assert run.loss_key == (key if is_loss else None)
    assert list(run.rates) == ([key] if is_rate else [])


def test_the_loss_that_was_logged_most_often(tmp_path):
    """Of several that it could be: not the one mean at the end."""
    with JSONL(tmp_path / "log.jsonl") as sink:
        sink.scalars(2, {"train_loss": 1.5})
        for step in range(3):
            sink.scalars(step, {"loss": 2.0 - step})
    assert read_run(tmp_path).loss_key == "loss"


# Runs that went back.


def test_a_resumed_run_is_read_as_the_one_that_went_on(tmp_path):
    """Each quantity is cut where it begins again, so the order of kinds of rows is of no matter."""
    path = tmp_path / "run.jsonl"
    with JSONL(path) as sink:
        for step in range(6):
            sink.scalars(step, {"loss": step})
            if step % 2:
                sink.scalars(step - 1, {"val_loss": step})
        sink.text(5, "decisions", "lost")
        sink.text(2, "decisions", "kept")
        sink.text(2, "decisions", "kept")
        for step in range(3, 5):
            sink.scalars(step, {"loss": 10 * step})
        sink.scalars(4, {"val_loss": 40})
    run = read_run(path)
    assert run["loss"].steps.tolist() == [0, 1, 2, 3, 4]
    assert run["loss"].values.tolist() == [0, 1, 2, 30, 40]
    assert run["val_loss"].steps.tolist() == [0, 2, 4]
    assert run["val_loss"].values.tolist() == [1, 3, 40]
    assert [tuple(text) for text in run.texts] == [(2, "decisions", "kept")]
    assert run.replaced == 4
    assert repr(run).endswith("4 numbers replaced)")


def test_the_plan_is_the_latest(tmp_path):
    """A run whose plan was revised has the revised one, under any prefix."""
    with CSV(tmp_path / "run.csv") as sink:
        sink.scalars(0, {"loss": 1.0})
    assert read_run(tmp_path).plan is None
    with CSV(tmp_path / "run.csv") as sink:
        sink.text(0, "g/plan", "first")
        sink.text(9, "g/plan", "second")
    assert read_run(tmp_path).plan == "second"


def test_a_run_cannot_be_changed(tmp_path):
    """All who ask a run get the same arrays, so they are read-only."""
    with CSV(tmp_path / "run.csv") as sink:
        sink.scalars(0, {"loss": 1.0})
    run = read_run(tmp_path)
    for array in (run.steps, run.loss, run["loss"].steps, run["loss"].values):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 2
    with pytest.raises(AttributeError):
        run.kind = "other"


# Finding.


def test_a_log_is_found_below(tmp_path):
    """Up to three levels down, and through a link only once."""
    folder = tmp_path / "lightning_logs" / "version_0"
    folder.mkdir(parents=True)
    shutil.copy(DATA / "metrics.csv", folder)
    (folder / "hparams.yaml").touch()
    (folder / "config.json").write_text("{}")
    (tmp_path / "lightning_logs" / "latest").symlink_to(folder)
    for path in (tmp_path, tmp_path / "lightning_logs", folder, folder / "metrics.csv"):
        assert read_run(path).path == folder / "metrics.csv"


def test_event_files_of_one_directory_are_one_run(tmp_path):
    """TensorBoard writes a file for each process; the directory is the run, or one file of it."""
    for first in (0, 2):
        with TensorBoard(tmp_path / "tb") as sink:
            for step in range(first, first + 3):
                sink.scalars(step, {"loss": first + step})
    run = read_run(tmp_path)
    assert run.path == tmp_path / "tb"
    assert run.values["loss"].tolist() == [0, 1, 4, 5, 6]
    files = sorted((tmp_path / "tb").iterdir())
    assert len(files) == 2
    assert read_run(files[0])["loss"].values.tolist() == [0, 1, 2]


def test_event_files_of_one_second_are_in_order(tmp_path):
    """Their names do not tell which came first: the tenth of a process sorts before the ninth."""
    for attempt in range(12):
        with TensorBoard(tmp_path) as sink:
            for step in range(attempt, attempt + 3):
                sink.scalars(step, {"loss": 100 * attempt + step})
    run = read_run(tmp_path)
    assert run["loss"].steps.tolist() == list(range(14))
    assert run["loss"].values[:12].tolist() == [101 * step for step in range(12)]


def test_an_event_file_that_was_cut_off(tmp_path):
    """Wherever it ends, the events before are read; one that is not even begun is passed over."""
    with TensorBoard(tmp_path) as sink:
        for step in range(20):
            sink.scalars(step, {"loss": step})
    path = next(tmp_path.iterdir())
    data = path.read_bytes()
    for cut in range(0, len(data), 7):
        path.write_bytes(data[:cut])
        run = read_run(tmp_path)
        assert run.steps.tolist() == list(range(len(run.steps)))
        assert len(run.steps) <= 20
    assert len(run.steps) >= 18


def test_numbers_of_both_forms_in_event_files(tmp_path):
    """Old summaries and new ones, in double precision too, more than TensorBoard samples."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path) as writer:
        for step in range(10_500):
            writer.add_scalar("old", 0.05, step)
        for precise in (False, True):
            writer.add_scalar(
                f"precise {precise}", 0.05, 0, new_style=True, double_precision=precise
            )
        writer.add_text("note", "*Markdown*", 3)
    run = read_run(tmp_path)
    assert len(run["old"].steps) == 10_500
    single = float(np.float32(0.05))
    assert run["old"].values[0] == run["precise False"].values[0] == single != 0.05
    assert run["precise True"].values[0] == 0.05
    assert [tuple(text) for text in run.texts] == [(3, "note", "*Markdown*")]


# Bad calls.


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {},
            "read_run: {} holds no log; looked for trainer_state.json and "
            "checkpoint-*/trainer_state.json (Trainer), run-*.wandb (Weights & Biases), "
            "events.out.tfevents.* (TensorBoard), *.csv and *.jsonl, in it and 3 levels below",
        ),
        (
            {"a.csv": "step\n", "b.jsonl": "{}\n"},
            "read_run: {} must hold one log (it has {}/a.csv (CSV), {}/b.jsonl (JSONL)); name one",
        ),
        (
            {"a.csv": "epoch,loss\n1,2\n"},
            "read_run: {}/a.csv must hold the step under one of step, global_step, "
            "trainer/global_step, train/global_step, _step, iteration, iter, iter_num, update, "
            "updates, num_updates (it has epoch, loss); write read_run(path, step=...)",
        ),
        (
            {"a.jsonl": ""},
            "read_run: {}/a.jsonl must hold the step under one of step, global_step, "
            "trainer/global_step, train/global_step, _step, iteration, iter, iter_num, update, "
            "updates, num_updates (it has nothing); write read_run(path, step=...)",
        ),
        (
            {"a.jsonl": "step,loss\n1,2\n"},
            "read_run: {}/a.jsonl must hold a JSON object on each line (line 1)",
        ),
        (
            {"a.jsonl": "[1, 2"},
            "read_run: {}/a.jsonl must be JSON (line 1: Expecting ',' delimiter)",
        ),
        (
            {"trainer_state.json": '{"epoch": 1}'},
            "read_run: {}/trainer_state.json must have a 'log_history', as Trainer writes it",
        ),
        (
            {"a.csv": b"step,loss\n1,\xff\n"},
            "read_run: {}/a.csv must be text in UTF-8 (byte 12 is not)",
        ),
    ],
)
def test_logs_that_cannot_be_read(files, message, tmp_path):
    """The message says what was looked for and what there is."""
    for name, text in files.items():
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / name).write_bytes(data)
    with pytest.raises(LogError) as caught:
        read_run(tmp_path)
    assert str(caught.value) == message.replace("{}", str(tmp_path))


def test_paths_that_are_no_log(tmp_path):
    """A path that is not there, a file of another kind, a key that the log does not have."""
    with pytest.raises(LogError, match="missing must exist"):
        read_run(tmp_path / "missing")
    (tmp_path / "notes.txt").write_text("1")
    with pytest.raises(LogError, match=r"notes\.txt must be the log of a run \(looked for"):
        read_run(tmp_path / "notes.txt")
    path = tmp_path / "run.csv"
    path.write_text("step,lr/head\n0,1\n")
    with pytest.raises(LogError, match=r"must hold the step under 'epoch' \(it has step, lr/head"):
        read_run(path, step="epoch")
    with pytest.raises(LogError, match=r"'loss' must be a key of the log \(got 'lr/haed'.*did you"):
        read_run(path, loss="lr/haed")
    run = read_run(path)
    with pytest.raises(LogError, match=r"the key must be one of the log .*did you mean 'lr/h"):
        _ = run["lr/hed"]
    with pytest.raises(LogError, match=r"the key of the loss must be given.*read_run\(path, loss="):
        _ = run.loss


def test_a_broken_line_in_the_middle_is_told(tmp_path):
    """What another program's torn line has swallowed is gone, but not in silence."""
    path = tmp_path / "run.jsonl"
    path.write_text(
        '{"step": 0, "loss": 1}\n{"step": 1, "lo{"step": 2, "loss": 3}\n{"step": 3, "loss": 4}\n'
    )
    with pytest.warns(LogWarning, match="line 2 of .*run.jsonl cannot be read and was passed over"):
        run = read_run(path)
    assert run["loss"].steps.tolist() == [0, 3]
