"""Training networks: optimizers and schedules, devices, early stopping, resumable backups.

The loop is astrocnn's own, on ``tf.distribute``: the same code runs on one device, on several and
on several machines, divides the loss by the weights of the whole batch wherever its parts lie, and
can be killed at any moment and continued.

Names are resolved on first use, so that checking the name of an optimizer imports no TensorFlow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from astrocnn.plugins import lazy

if TYPE_CHECKING:
    from astrocnn.training.fitting import fit
    from astrocnn.training.history import History
    from astrocnn.training.inference import predict
    from astrocnn.training.lr_finder import LearningRates, find_learning_rate
    from astrocnn.training.objective import compute_class_weights
    from astrocnn.training.optimizers import OPTIMIZERS, PARAMETERS, SCHEDULES, Optimizer
    from astrocnn.training.precision import (
        PRECISIONS,
        bfloat16_works,
        has_fast_bfloat16,
        resolve_precision,
    )
    from astrocnn.training.strategies import STRATEGIES, get_strategy

__all__ = [
    "OPTIMIZERS",
    "PARAMETERS",
    "PRECISIONS",
    "SCHEDULES",
    "STRATEGIES",
    "History",
    "LearningRates",
    "Optimizer",
    "compute_class_weights",
    "find_learning_rate",
    "fit",
    "bfloat16_works",
    "has_fast_bfloat16",
    "predict",
    "resolve_precision",
    "get_strategy",
]

_HOME = {
    "OPTIMIZERS": "optimizers",
    "PARAMETERS": "optimizers",
    "PRECISIONS": "precision",
    "SCHEDULES": "optimizers",
    "STRATEGIES": "strategies",
    "History": "history",
    "LearningRates": "lr_finder",
    "Optimizer": "optimizers",
    "compute_class_weights": "objective",
    "find_learning_rate": "lr_finder",
    "fit": "fitting",
    "bfloat16_works": "precision",
    "has_fast_bfloat16": "precision",
    "predict": "inference",
    "resolve_precision": "precision",
    "get_strategy": "strategies",
}


__getattr__ = lazy(__name__, _HOME)
