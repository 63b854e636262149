"""Estimators fitted on shards that predict samples: networks and classical methods.

An estimator is a module here that exposes ``ESTIMATOR``, a class with the methods of `Estimator`,
and ``example(task, inputs)``, a small one for the contract tests; `Encoder` has features only and
no example.  It carries its task and its
inputs, so that a folder written by `save` is all that a prediction needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from astrocnn.plugins import lazy

if TYPE_CHECKING:
    from astrocnn.estimators._network import find_limits, start_from
    from astrocnn.estimators._novelty import fit_novelty
    from astrocnn.estimators.base import Estimator, load_estimator
    from astrocnn.estimators.calibrated import Calibrated
    from astrocnn.estimators.classical import ClassicalEstimator
    from astrocnn.estimators.encoder import Encoder
    from astrocnn.estimators.ensemble import Ensemble
    from astrocnn.estimators.keras_estimator import KerasEstimator

__all__ = [
    "Calibrated",
    "ClassicalEstimator",
    "Encoder",
    "Ensemble",
    "Estimator",
    "KerasEstimator",
    "fit_novelty",
    "find_limits",
    "start_from",
    "load_estimator",
]

_HOME = {
    "Calibrated": "calibrated",
    "ClassicalEstimator": "classical",
    "Encoder": "encoder",
    "Ensemble": "ensemble",
    "Estimator": "base",
    "KerasEstimator": "keras_estimator",
    "fit_novelty": "_novelty",
    "find_limits": "_network",
    "start_from": "_network",
    "load_estimator": "base",
}


__getattr__ = lazy(__name__, _HOME)
