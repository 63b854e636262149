"""Figures of predictions and their scores.

Each function returns a `matplotlib.figure.Figure`, independent of pyplot; nothing is shown or
saved.
"""

from astrocnn.evaluation.figures.calibration import *
from astrocnn.evaluation.figures.classification import *
from astrocnn.evaluation.figures.quantities import *
from astrocnn.evaluation.figures.selection import *
from astrocnn.evaluation.figures.training import *

__all__ = [name for name in dir() if not name.startswith("_")]
