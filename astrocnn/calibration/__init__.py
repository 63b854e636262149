"""Calibrated probabilities, sets and intervals, fitted on objects outside the training set.

Remaps change samples: `Temperature` for class probabilities, `PitRemap` for densities.  Extras add
columns to a table of predictions: `ConformalSets` and `ConformalIntervals` have a stated coverage,
`Novelty` is the distance from the training set, `Selection` the objects to keep.
"""

from __future__ import annotations

from astrocnn.calibration._fitting import calibrate, get_remap, remap_held_out
from astrocnn.calibration._storage import Calibration, read, write
from astrocnn.calibration.base import Batch, Extra, Remap
from astrocnn.calibration.conformal import ConformalIntervals, ConformalSets
from astrocnn.calibration.novelty import Novelty
from astrocnn.calibration.pit_remap import PitRemap
from astrocnn.calibration.selection import Selection
from astrocnn.calibration.temperature import Temperature

__all__ = [
    "Batch",
    "Calibration",
    "ConformalIntervals",
    "ConformalSets",
    "Extra",
    "Novelty",
    "PitRemap",
    "Remap",
    "Selection",
    "Temperature",
    "calibrate",
    "remap_held_out",
    "read",
    "get_remap",
    "write",
]
