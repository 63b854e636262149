"""Scores, baselines, figures and the report of a trained model.

Takes plain arrays: labels as `Task.encode` gives them and samples of shape (n_draws, n, units).
Each kind of evaluation is a file in ``kinds/``.
"""

from astrocnn.evaluation.baselines import *
from astrocnn.evaluation.comparison import *
from astrocnn.evaluation.kinds import TargetEvaluation as TargetEvaluation
from astrocnn.evaluation.kinds import evaluate_target as evaluate_target
from astrocnn.evaluation.labels import *
from astrocnn.evaluation.scores import *

__all__ = [name for name in dir() if not name.startswith("_")]
