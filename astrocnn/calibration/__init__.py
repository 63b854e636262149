"""Predictions that mean what they say, learned on labelled objects that were not trained on.

Remaps change samples: `Temperature` for class probabilities, `PitRemap` for densities.  Extras add
columns to a table of predictions: `ConformalSets` and `ConformalIntervals` hold the truth as often
as they say, `Novelty` tells how far an object is from what the model knows, `Selection` which
objects to keep.
"""

from __future__ import annotations

from astrocnn.calibration._calibration import Calibration
from astrocnn.calibration._fitting import calibrate, remap_for
from astrocnn.calibration._halves import held_out
from astrocnn.calibration._storage import read, write
from astrocnn.calibration.base import Batch, Extra, Remap
from astrocnn.calibration.conformal_intervals import ConformalIntervals
from astrocnn.calibration.conformal_sets import ConformalSets
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
    "held_out",
    "read",
    "remap_for",
    "write",
]
