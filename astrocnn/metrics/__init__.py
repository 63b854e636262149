"""Scores with confidence intervals, in pure numpy.

Nothing that is not finite is imputed: a metric refuses it, and the caller leaves such rows out
and counts them.  Weights of shape (..., n) turn every metric into its own bootstrap.
"""

from __future__ import annotations

from astrocnn.metrics.calibration import (
    Reliability,
    brier,
    classwise_ece,
    ece,
    log_loss,
    reliability,
)
from astrocnn.metrics.classification import (
    accuracy,
    change_prior,
    completeness,
    confusion_matrix,
    f1,
    macro_f1,
    majority_rate,
    purity,
    rmse,
)
from astrocnn.metrics.intervals import Score, bootstrap, resamples, wilson
from astrocnn.metrics.ranking import Ranking
from astrocnn.metrics.uncertainty import (
    expected_entropy,
    mutual_information,
    predictive_entropy,
    risk_coverage,
    risk_coverage_area,
)

__all__ = [
    "Ranking",
    "Reliability",
    "Score",
    "accuracy",
    "bootstrap",
    "brier",
    "change_prior",
    "classwise_ece",
    "completeness",
    "confusion_matrix",
    "ece",
    "expected_entropy",
    "f1",
    "log_loss",
    "macro_f1",
    "majority_rate",
    "mutual_information",
    "predictive_entropy",
    "purity",
    "reliability",
    "resamples",
    "risk_coverage",
    "risk_coverage_area",
    "rmse",
    "wilson",
]
