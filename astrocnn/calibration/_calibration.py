"""What a calibration leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from astrocnn.calibration.base import Remap, StoredExtra

__all__ = ["Calibration"]


@dataclass(frozen=True)
class Calibration:
    """All that was learned from the validation objects of one model.

    Parameters
    ----------
    model : str
        Fingerprint of the estimator it belongs to, before any calibration.
    remaps : mapping of str to Remap
        By target; others stay as they are.
    extras : tuple of StoredExtra
        For samples after the remaps.
    table : tuple of mapping
        Scores with the keys ``target``, ``score``, ``before``, ``after``, ``chance`` and ``n``: of
        one half of the objects, after what the other half taught.  ``before`` is None for what
        exists only after; ``chance`` is what so many objects would give on average if the
        predictions were right, None where that is not a gap.
    """

    model: str
    remaps: Mapping[str, Remap]
    extras: tuple[StoredExtra, ...] = ()
    table: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)
