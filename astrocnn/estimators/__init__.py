"""Estimators: what learns a task from cutouts and samples from its predictive distribution.

One file a kind, all with the methods of `Estimator`: ``fit``, ``sample``, ``save``, ``load``.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrocnn.errors import ModelError

if TYPE_CHECKING:
    from astrocnn.estimators.base import Estimator
    from astrocnn.estimators.keras_estimator import KerasEstimator

__all__ = ["Estimator", "KerasEstimator", "load_estimator"]

_HOME = {"Estimator": "base", "KerasEstimator": "keras_estimator"}
ABOUT = "estimator.json"


def load_estimator(directory: str | Path) -> Estimator:
    """Load whichever estimator a folder holds.

    Raises
    ------
    ModelError
        If the folder holds none.
    """
    path = Path(directory) / ABOUT
    if not path.is_file():
        raise ModelError(
            f"There is no trained estimator in '{directory}'.",
            received=f"no {ABOUT}",
            hint="give the folder that an estimator was saved to",
        )
    from astrocnn.plugins import load

    kind = json.loads(path.read_text(encoding="utf-8"))["kind"]
    return load("astrocnn.estimators", kind).ESTIMATOR.load(directory)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
