"""Every exception and warning of Cadence; imports nothing, so any floor may raise them.

::

    CadenceError
    ├── ArgumentError (ValueError)          a value that cannot be meant
    │   ├── ArgumentTypeError (TypeError)   a value of the wrong kind
    │   └── ParseError                      text that is not a plan
    ├── UnresolvedError (ValueError)        a plan whose lengths need a horizon first
    ├── MismatchError (ValueError)          a checkpoint made by another plan or horizon
    ├── LogError (ValueError)               a log that is not there, or cannot be read
    ├── ForecastError (ValueError)          a forecast that the logs cannot give
    ├── MissingLibraryError (ImportError)   an optional library that is not installed
    ├── ComparisonError (RuntimeError)      a comparison that cannot go on
    ├── ExternalChangeError (RuntimeError)  someone else wrote a scheduled value
    ├── PaceError (RuntimeError)            a clock that runs at another pace than the updates
    ├── PastEndError (RuntimeError)         a step after the plan's end, where that was forbidden
    └── SupersededError (RuntimeError)      a scheduler whose optimizer has a newer one

    CadenceWarning (UserWarning)
    ├── ExternalChangeWarning               a foreign change was adopted or overridden
    ├── TakeoverWarning                     a second scheduler was built on one optimizer
    ├── CallOrderWarning                    the scheduler was stepped before the optimizer
    ├── PaceWarning                         the clock runs at another pace than the updates
    ├── ScheduleWarning                     a scheduler was built on a plan that cannot be meant
    ├── RangeTestWarning                    a range test whose result is not to be trusted
    └── LogWarning                          a log lacks something that it should hold
"""

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "CadenceError",
    "CadenceWarning",
    "CallOrderWarning",
    "ComparisonError",
    "ExternalChangeError",
    "ExternalChangeWarning",
    "ForecastError",
    "LogError",
    "LogWarning",
    "MismatchError",
    "MissingLibraryError",
    "PaceError",
    "PaceWarning",
    "ParseError",
    "PastEndError",
    "RangeTestWarning",
    "ScheduleWarning",
    "SupersededError",
    "TakeoverWarning",
    "UnresolvedError",
]


class CadenceError(Exception):
    """Root of all errors that Cadence raises on purpose."""


class ArgumentError(CadenceError, ValueError):
    """An argument has a value that cannot be meant."""


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument is of the wrong kind."""


class ParseError(ArgumentError):
    """A text is not a plan; the message points at the character."""


class UnresolvedError(CadenceError, ValueError):
    """A plan was asked for values before its lengths were known in steps."""


class MismatchError(CadenceError, ValueError):
    """A checkpoint was made by another plan, horizon or set of groups."""


class LogError(CadenceError, ValueError):
    """A log of a run was not found, or cannot be read."""


class ForecastError(CadenceError, ValueError):
    """A forecast is refused: the runs that were logged cannot give it."""


class MissingLibraryError(CadenceError, ImportError):
    """An optional library is not installed; the message says what to install."""


class ComparisonError(CadenceError, RuntimeError):
    """A comparison cannot go on; what is finished is kept, and the message says what to do."""


class ExternalChangeError(CadenceError, RuntimeError):
    """A scheduled value was changed by someone else and `external="error"` is set."""


class PaceError(CadenceError, RuntimeError):
    """The scheduler is stepped at another pace than its optimizers and `strict=True` is set."""


class PastEndError(CadenceError, RuntimeError):
    """A scheduler was stepped past its end and `past_end="raise"` is set."""


class SupersededError(CadenceError, RuntimeError):
    """A newer scheduler owns the values that this one would write."""


class CadenceWarning(UserWarning):
    """Root of all warnings that Cadence issues."""


class ExternalChangeWarning(CadenceWarning):
    """A scheduled value was changed by someone else; the message says what was done about it."""


class TakeoverWarning(CadenceWarning):
    """A scheduler was built on an optimizer that another scheduler had been stepping."""


class RecaptureWarning(CadenceWarning):
    """A change needs more room on the device; graphs captured before go on with the old plan."""


class CallOrderWarning(CadenceWarning):
    """`scheduler.step()` ran before the first `optimizer.step()`; the first value was skipped."""


class PaceWarning(CadenceWarning):
    """The scheduler is stepped much more or less often than its clock says."""


class ScheduleWarning(CadenceWarning):
    """A scheduler was built on a plan that is a mistake almost surely; the message has the code."""


class RangeTestWarning(CadenceWarning):
    """Something stands against trusting what a range test has found; the message says what."""


class LogWarning(CadenceWarning):
    """A log lacks something: a line that cannot be read, or updates that were never seen."""
