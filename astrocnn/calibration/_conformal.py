"""What conformal sets and intervals share: the quantile that makes coverage right.

Split conformal prediction: if the objects to come are exchangeable with those of the calibration,
coverage is at least the level asked for, on average over calibrations, with no other assumption.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.calibration.base import too_few
from astrocnn.errors import ConfigError

__all__ = ["check_levels", "digest", "percent", "quantile", "rows_needed"]


def rows_needed(level: float) -> int:
    """Smallest number of objects from which a level can be promised, ceil(level / (1 - level))."""
    # Rounded first: 0.9 / (1 - 0.9) is a little more than 9 in floating point.
    return max(1, math.ceil(round(level / (1 - level), 9)))


def check_levels(levels: Sequence[float]) -> None:
    """Refuse what is no coverage."""
    if not len(levels) or not all(0 < level < 1 for level in levels):
        raise ConfigError(
            "A coverage lies between 0 and 1.", received=levels, hint="levels = [0.68, 0.95]"
        )


def quantile(scores: NDArray[np.float64], level: float, what: str) -> float:
    """The ceil((n + 1) level)-th smallest score, with which coverage is at least the level."""
    n = len(scores)
    k = math.ceil(round((n + 1) * level, 9))
    if k > n:
        hint = "a larger validation split, or a lower level; or not by class or bin"
        raise too_few(what, n, rows_needed(level), hint)
    return float(np.partition(scores, k - 1)[k - 1])


def percent(level: float) -> str:
    """A level as names of columns carry it: 68, or 99p7 for 0.997."""
    return f"{100 * level:g}".replace(".", "p")


def digest(values: dict[str, Any]) -> str:
    """SHA-256 of plain values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
