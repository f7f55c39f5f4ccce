"""Plans compared on the user's own training: which is better, and how sure that is."""

from cadence.compare._trial import Comparison, Trial

__all__ = ["Comparison", "Trial"]
