"""Scores with confidence intervals, in numpy and scipy.

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
    Ranking,
    accuracy,
    change_prior,
    completeness,
    confusion_matrix,
    f1,
    macro_f1,
    majority_fraction,
    purity,
    rmse,
)
from astrocnn.metrics.density import (
    Densities,
    credible_coverage,
    crps_ensemble,
    pit,
    pit_ad,
    pit_cvm,
    pit_ks,
    pit_outliers,
)
from astrocnn.metrics.intervals import (
    Score,
    bootstrap,
    mcnemar,
    paired_difference,
    resamples,
    wilson,
)
from astrocnn.metrics.redshift import (
    Trend,
    bias,
    bias_median,
    deviation,
    outlier_fraction,
    outliers_rail,
    sigma_iqr,
    sigma_mad,
    trend,
)
from astrocnn.metrics.uncertainty import (
    expected_entropy,
    mutual_information,
    predictive_entropy,
    risk_coverage,
    risk_coverage_area,
)
from astrocnn.metrics.votes import dirichlet_multinomial_nll, mean_deviation, votes_credible
from astrocnn.metrics.weighted import average

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
    "crps_ensemble",
    "deviation",
    "dirichlet_multinomial_nll",
    "ece",
    "expected_entropy",
    "f1",
    "credible_coverage",
    "log_loss",
    "macro_f1",
    "majority_fraction",
    "mcnemar",
    "mean_deviation",
    "mutual_information",
    "outlier_fraction",
    "outliers_rail",
    "paired_difference",
    "pit",
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
