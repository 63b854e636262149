"""Training networks: optimizers and schedules, devices, early stopping, resumable backups.

The loop over epochs is not that of `keras.Model.fit`, and calls Keras callbacks: the same code runs
on one device, on several and on several machines, divides the loss by the weights of the whole
batch wherever its parts lie, and can be killed at any moment and continued exactly.
"""

from __future__ import annotations

from astrocnn.training.backup import Backup
from astrocnn.training.fitting import fit
from astrocnn.training.history import EarlyStopping, History
from astrocnn.training.layer_rates import LayerRates
from astrocnn.training.loggers import LOGGERS, Logger, open_loggers
from astrocnn.training.lr_finder import LearningRates, find_learning_rate
from astrocnn.training.objective import Objective, compute_class_weights
from astrocnn.training.optimizers import OPTIMIZERS, PARAMETERS, SCHEDULES, Optimizer
from astrocnn.training.precision import (
    PRECISIONS,
    bfloat16_works,
    has_fast_bfloat16,
    predicts_faster_in_bfloat16,
    resolve_precision,
)
from astrocnn.training.pseudo_labels import PseudoLabels, select_pseudo_labels
from astrocnn.training.recipes import RECIPES, Recipe, build_layer_rates
from astrocnn.training.steps import predict
from astrocnn.training.strategies import STRATEGIES, get_strategy

__all__ = [
    "PRECISIONS",
    "resolve_precision",
    "has_fast_bfloat16",
    "predicts_faster_in_bfloat16",
    "bfloat16_works",
    "LOGGERS",
    "OPTIMIZERS",
    "PARAMETERS",
    "RECIPES",
    "SCHEDULES",
    "STRATEGIES",
    "Backup",
    "EarlyStopping",
    "History",
    "LayerRates",
    "LearningRates",
    "Logger",
    "Objective",
    "Optimizer",
    "PseudoLabels",
    "Recipe",
    "build_layer_rates",
    "compute_class_weights",
    "find_learning_rate",
    "fit",
    "get_strategy",
    "open_loggers",
    "predict",
    "select_pseudo_labels",
]
