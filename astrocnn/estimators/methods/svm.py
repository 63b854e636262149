"""Support vector machine with a Gaussian kernel, for classes and for numbers.

Probabilities are Platt's sigmoid, fitted to objects left out in turn (five parts); one machine of
all objects predicts.  A number is distributed about the prediction of epsilon-insensitive
regression as residuals of objects left out are, in units of their boosted size; residuals below
`epsilon` standard deviations of the number cost nothing.  Numbers need a larger `C` than classes:
10 for redshifts from magnitudes.  Training time grows with the square of the number of objects.

References
----------
Cortes & Vapnik 1995, Machine Learning 20, 273.  Platt 1999, Advances in Large Margin Classifiers.
Smola & Schoelkopf 2004, Statistics and Computing 14, 199, section 1 (regression).
Huertas-Company et al. 2008, A&A 478, 971 (galaxy morphology).  Wadadekar 2005, PASP 117, 79
(redshifts from magnitudes).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from astrocnn.errors import TrainingError
from astrocnn.estimators.methods import threads_for_numbers
from astrocnn.estimators.methods._residual_spread import cross_fit, fit_spread, spread_values

__all__ = [
    "OPTIONS",
    "TRUSTED",
    "fit_classes",
    "fit_values",
    "predict_probabilities",
    "predict_values",
]

OPTIONS = {"C": 1.0, "gamma": "scale", "epsilon": 0.1}
TRUSTED = (
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
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


def fit_values(
    x: NDArray[np.floating], y: NDArray[np.floating], options: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Fit the regression, and the distribution of its residuals."""
    x = np.asarray(x, np.float64)
    machine = SVR(C=float(options["C"]), gamma=options["gamma"], epsilon=float(options["epsilon"]))
    model = TransformedTargetRegressor(machine, transformer=StandardScaler())
    with threads_for_numbers(x.size):
        spread = fit_spread(x, y - cross_fit(model, x, y, seed), seed)
        return {"model": model.fit(x, y), **spread}


def predict_values(state: dict[str, Any], x: NDArray[np.floating]) -> NDArray[np.float64]:
    """A hundred equally probable values of shape (n, 100)."""
    x = np.asarray(x, np.float64)
    return spread_values(state, x, state["model"].predict(x))
