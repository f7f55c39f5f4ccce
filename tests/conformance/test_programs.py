"""The scripts that people write, on torch and on the drop-in."""

import math
import warnings

import pytest
from programs import OLD_CALL, PROGRAMS
from torch.optim import lr_scheduler as theirs

import cadence.lr_scheduler as ours


def rates(name, module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `verbose`, and torch's word about get_lr()
        return PROGRAMS[name](module)


@pytest.mark.parametrize("name", PROGRAMS)
def test_scripts_run_unchanged_with_torchs_numbers(name):
    """Scripts of an older torch, which today's refuses, give the numbers of their formula."""
    expected = OLD_CALL[name] if name in OLD_CALL else rates(name, theirs)
    pairs = zip(rates(name, ours), expected, strict=True)
    assert all(math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-17) for a, b in pairs)


@pytest.mark.parametrize("name", OLD_CALL)
def test_torch_refuses_the_old_call(name):
    with pytest.raises(TypeError):
        rates(name, theirs)
