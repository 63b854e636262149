"""Scores with confidence intervals, in pure numpy.

Nothing that is not finite is imputed: a metric refuses it, and the caller leaves such rows out
and counts them.  Weights of shape (..., n) turn every metric into its own bootstrap.
"""

from __future__ import annotations

from astrocnn.metrics._weighted import average
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
from astrocnn.metrics.comparison import mcnemar, paired_difference
from astrocnn.metrics.density import Densities, crps_of_draws, held
from astrocnn.metrics.intervals import Score, bootstrap, resamples, wilson
from astrocnn.metrics.pit import pit_ad, pit_cvm, pit_ks, pit_outliers
from astrocnn.metrics.ranking import Ranking
from astrocnn.metrics.redshift import (
    bias,
    bias_median,
    deviation,
    outlier_fraction,
    outliers_rail,
    sigma_iqr,
    sigma_mad,
)
from astrocnn.metrics.trend import Trend, trend
from astrocnn.metrics.uncertainty import (
    expected_entropy,
    mutual_information,
    predictive_entropy,
    risk_coverage,
    risk_coverage_area,
)
from astrocnn.metrics.votes import dirichlet_multinomial_nll, mean_deviation, votes_credible

__all__ = [
    "Densities",
    "Ranking",
    "Reliability",
    "Score",
    "Trend",
    "accuracy",
    "average",
    "bias",
    "bias_median",
    "bootstrap",
    "brier",
    "change_prior",
    "classwise_ece",
    "completeness",
    "confusion_matrix",
    "crps_of_draws",
    "deviation",
    "dirichlet_multinomial_nll",
    "ece",
    "expected_entropy",
    "f1",
    "held",
    "log_loss",
    "macro_f1",
    "majority_rate",
    "mcnemar",
    "mean_deviation",
    "mutual_information",
    "outlier_fraction",
    "outliers_rail",
    "paired_difference",
    "pit_ad",
    "pit_cvm",
    "pit_ks",
    "pit_outliers",
    "predictive_entropy",
    "purity",
    "reliability",
    "resamples",
    "risk_coverage",
    "risk_coverage_area",
    "rmse",
    "sigma_iqr",
    "sigma_mad",
    "trend",
    "votes_credible",
    "wilson",
]
