"""Scores with confidence intervals, in numpy and scipy.

Nothing that is not finite is imputed: a metric refuses it, and the caller leaves such rows out
and counts them.  Weights of shape (..., n) turn every metric into its own bootstrap.
"""

from astrocnn.metrics.calibration import *
from astrocnn.metrics.classification import *
from astrocnn.metrics.density import *
from astrocnn.metrics.embedding import *
from astrocnn.metrics.intervals import *
from astrocnn.metrics.redshift import *
from astrocnn.metrics.uncertainty import *
from astrocnn.metrics.votes import *
from astrocnn.metrics.weighted import average as average

__all__ = [name for name in dir() if not name.startswith("_")]
