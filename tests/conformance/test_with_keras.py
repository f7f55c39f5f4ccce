"""Plans as learning-rate schedules of Keras, in a process of each backend."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from cadence import parse
from cases import CASES

pytestmark = pytest.mark.peers

TESTS = Path(__file__).parents[1]

BACKENDS = ["torch", "jax", "numpy", "tensorflow"]

VALUES = """
import json, sys
import keras
from cadence.integrations.keras import schedule
from cases import CASES

told = []
for case in CASES:
    if case.name == "Function" and keras.backend.backend() in ("jax", "tensorflow"):
        told.append(None)  # compiled, a user's function would have to be traceable
        continue
    rate = schedule(case.plan, case.base)
    steps = keras.ops.arange(case.moves_until + 5, dtype="int32")
    values = keras.ops.convert_to_numpy(rate(steps))
    one = keras.ops.convert_to_numpy(rate(keras.Variable(7, dtype="int32", trainable=False)))
    told.append([str(values.dtype), values.tolist(), float(one)])
json.dump(told, sys.stdout)
"""

TRAINING = """
import json, sys
import keras, numpy
import cadence
from cadence.integrations.keras import schedule

path, text, rate = sys.argv[1:]


class Recorded(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.rates, self.weights = [], []

    def on_train_batch_begin(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))
        self.weights.append(float(keras.ops.convert_to_numpy(self.model.weights[0]).reshape(())))

    def on_train_batch_end(self, batch, logs=None):
        last = float(keras.ops.convert_to_numpy(self.model.weights[0]).reshape(()))
        self.weights[-1] = self.weights[-1] - last  # what the update did: the rate that it used


def data(n):
    return numpy.ones((n, 1), "float32"), numpy.zeros((n, 1), "float32")


@keras.saving.register_keras_serializable()
def mean(wanted, got):
    # Its gradient is 1, so an update subtracts the very rate.
    return keras.ops.mean(got)


model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
model.compile(keras.optimizers.SGD(schedule(text, float(rate))), loss=mean)
first = Recorded()
model.fit(*data(24), batch_size=2, epochs=2, verbose=0, shuffle=False, callbacks=[first])
model.save(path)
again = keras.models.load_model(path)
assert again.optimizer.get_config()["learning_rate"]["config"]["plan"] == text
second = Recorded()
again.fit(*data(24), batch_size=2, epochs=1, verbose=0, shuffle=False, callbacks=[second])
json.dump([first.rates + second.rates, first.weights + second.weights], sys.stdout)
"""


def run(program, backend, *args):
    """What a process with this backend prints, read as JSON."""
    if backend == "tensorflow" and find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed")
    environment = {
        "KERAS_BACKEND": backend,
        "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path]),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = subprocess.run(
        [sys.executable, "-c", program, *args],
        capture_output=True, text=True, check=False, env=os.environ | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_shape_gives_its_numbers(backend):
    """Each shape gives what the plan gives, for arrays and for the variable that counts."""
    for case, told in zip(CASES, run(VALUES, backend), strict=True):
        if told is None:
            continue
        dtype, values, seventh = told
        expected = case.plan(np.arange(case.moves_until + 5), case.base)
        scale = np.abs(expected).max()
        assert dtype == "float32"
        np.testing.assert_allclose(
            values, expected, rtol=2e-5, atol=2e-6 * scale, err_msg=case.text
        )
        np.testing.assert_allclose(
            seventh, case.plan(7, case.base), rtol=2e-5, atol=2e-6 * scale, err_msg=case.text
        )


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "numpy"])
@pytest.mark.parametrize(
    "text", ["Warmup(5) >> Cosine(20, end=0.1)", "Cosine(4).repeat(length_mult=2, peak_mult=0.5)"]
)
def test_training_uses_the_rates_of_the_plan(backend, text, tmp_path):
    """`fit` uses the plan's rate in each update, and a model that was saved goes on with it."""
    told, used = run(TRAINING, backend, str(tmp_path / "model.keras"), text, "0.5")
    expected = parse(text)(np.arange(36), 0.5)
    np.testing.assert_allclose(told, expected, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(used, expected, rtol=2e-4, atol=2e-6)
