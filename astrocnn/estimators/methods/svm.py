"""Support vector machine with a Gaussian kernel; probabilities by Platt's sigmoid.

The sigmoid is fitted to objects left out in turn (five parts), and one machine of all objects
predicts.

References
----------
Cortes & Vapnik 1995, Machine Learning 20, 273.  Platt 1999, Advances in Large Margin Classifiers.
Huertas-Company et al. 2008, A&A 478, 971 (galaxy morphology).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC

from astrocnn.errors import TrainingError

__all__ = ["OPTIONS", "TRUSTED", "fit_classes", "predict_probabilities"]

OPTIONS = {"C": 1.0, "gamma": "scale"}
TRUSTED = (
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.model_selection._split.StratifiedKFold",
)

_PARTS = 5


def fit_classes(
    x: NDArray[np.floating], y: NDArray[np.integer], options: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Fit the machine and its sigmoid.

    Raises
    ------
    TrainingError
        If a class has fewer than two objects.
    """
    rarest = int(np.bincount(y).min())
    if rarest < 2:
        raise TrainingError(
            "A support vector machine needs two objects of each class for its probabilities.",
            received=f"{rarest} of the rarest",
        )
    parts = StratifiedKFold(min(_PARTS, rarest), shuffle=True, random_state=seed)
    machine = SVC(C=float(options["C"]), gamma=options["gamma"])
    model = CalibratedClassifierCV(machine, ensemble=False, cv=parts)
    return {"model": model.fit(np.asarray(x, np.float64), y)}


def predict_probabilities(state: dict[str, Any], x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Of shape (n, n_classes)."""
    return np.asarray(state["model"].predict_proba(np.asarray(x, np.float64)))
