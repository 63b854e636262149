"""Training networks: optimizers and schedules, devices, early stopping, resumable backups.

The loop over epochs is not that of `keras.Model.fit`, and calls Keras callbacks: the same code runs
on one device, on several and on several machines, divides the loss by the weights of the whole
batch wherever its parts lie, and can be killed at any moment and continued exactly.

Names are resolved on first use, so that checking the name of an optimizer imports no TensorFlow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from astrocnn.plugins import lazy

if TYPE_CHECKING:
    from astrocnn.training.backup import Backup
    from astrocnn.training.fitting import fit
    from astrocnn.training.history import EarlyStopping, History
    from astrocnn.training.layer_rates import LayerRates
    from astrocnn.training.lr_finder import LearningRates, find_learning_rate
    from astrocnn.training.objective import Objective, compute_class_weights
    from astrocnn.training.optimizers import OPTIMIZERS, PARAMETERS, SCHEDULES, Optimizer
    from astrocnn.training.precision import (
        PRECISIONS,
        bfloat16_works,
        has_fast_bfloat16,
        resolve_precision,
    )
    from astrocnn.training.steps import predict
    from astrocnn.training.strategies import STRATEGIES, get_strategy

__all__ = [
    "PRECISIONS",
    "resolve_precision",
    "has_fast_bfloat16",
    "bfloat16_works",
    "OPTIMIZERS",
    "PARAMETERS",
    "SCHEDULES",
    "STRATEGIES",
    "Backup",
    "EarlyStopping",
    "History",
    "LayerRates",
    "LearningRates",
    "Objective",
    "Optimizer",
    "compute_class_weights",
    "find_learning_rate",
    "fit",
    "get_strategy",
    "predict",
]

_HOME = {
    "PRECISIONS": "precision",
    "resolve_precision": "precision",
    "has_fast_bfloat16": "precision",
    "bfloat16_works": "precision",
    "OPTIMIZERS": "optimizers",
    "PARAMETERS": "optimizers",
    "SCHEDULES": "optimizers",
    "STRATEGIES": "strategies",
    "Backup": "backup",
    "EarlyStopping": "history",
    "History": "history",
    "LayerRates": "layer_rates",
    "LearningRates": "lr_finder",
    "Objective": "objective",
    "Optimizer": "optimizers",
    "compute_class_weights": "objective",
    "find_learning_rate": "lr_finder",
    "fit": "fitting",
    "get_strategy": "strategies",
    "predict": "steps",
}


__getattr__ = lazy(__name__, _HOME)
