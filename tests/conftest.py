"""What all tests share: how hypothesis searches, and registries that no test leaves dirty."""

import os

# Before torch is loaded, and for the tests' own processes: their tensors are tiny, and threads that
# share them out wait for each other, most of all on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

from cadence import Function, Schedule

# A test that passed must not fail on a later, unrelated change: the same examples every time.
# `HYPOTHESIS_PROFILE=search` looks for new ones.
# A busy machine is no failure: there is no deadline, and plans may take a while to draw.
patient = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", patient, derandomize=True, max_examples=60)
settings.register_profile("search", patient, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True)
def registries():
    """Schedules and functions that a test defines are known within that test alone."""
    known, registered = dict(Schedule.known), dict(Function.registered)
    yield
    for registry, before in ((Schedule.known, known), (Function.registered, registered)):
        registry.clear()
        registry.update(before)
