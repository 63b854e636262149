"""Convolutional networks for survey astronomy.

FITS cutouts and band stacks in, calibrated predictions with uncertainty out.  Importing this
package imports neither Keras nor TensorFlow: each name below is loaded when it is first used.

>>> import astrocnn
>>> astrocnn.task("morphology", classes=["elliptical", "spiral"], column="class").names
('morphology',)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import astrocnn.backend  # noqa: F401  # sets the backend before a user imports keras
from astrocnn.errors import AstrocnnError
from astrocnn.flags import Flag
from astrocnn.plugins import lazy

if TYPE_CHECKING:
    from astrocnn.targets import Task

__version__ = "0.1.0"

_HOME = {
    "Catalog": "catalog",
    "read_catalog": "catalog",
    "Survey": "imaging",
    "read_survey": "imaging",
    "open_source": "imaging",
    "Inputs": "imaging",
    "Normalization": "imaging",
    "Task": "targets",
    "Target": "targets",
    "Shards": "datasets",
    "write_shards": "datasets",
    "split_rows": "datasets",
    "fit_normalization": "datasets",
    "Options": "models",
    "KerasEstimator": "estimators",
    "Ensemble": "estimators",
    "ClassicalEstimator": "estimators",
    "Calibrated": "estimators",
    "load_estimator": "estimators",
    "calibrate": "calibration",
    "embed": "prediction",
    "predict": "prediction",
    "read_pdf": "prediction",
    "read_predictions": "prediction",
    "to_qp": "prediction",
    "plot_bands": "report",
    "simulate": "simulation",
    "simulate_stamps": "simulation",
    "simulate_redshift": "simulation",
    "simulate_quality": "simulation",
}
__all__ = ["AstrocnnError", "Flag", "__version__", "task", *_HOME]


def task(name: str, **options: Any) -> Task:
    """What to predict, by name.

    Parameters
    ----------
    name : str
        A module of `astrocnn.targets.tasks`: ``"morphology"``, ``"quality"`` ...
    **options
        The arguments of its ``task`` function.

    Raises
    ------
    ConfigError
        If there is no such task, with the nearest name.
    """
    from astrocnn.targets import make

    return make(name, **options)


__getattr__ = lazy(__name__, _HOME)


def __dir__() -> list[str]:
    return __all__
