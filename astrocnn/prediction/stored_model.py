"""The model of a prediction and its extras, as workers read them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from astrocnn import calibration
from astrocnn.atomic import write_text
from astrocnn.backend import get_versions
from astrocnn.calibration import Calibration, Extra
from astrocnn.errors import ClusterError
from astrocnn.estimators.base import Estimator, load_estimator
from astrocnn.scheduling import validate_version
from astrocnn.stored_files import Stored, read_json

__all__ = ["list_catalog_columns", "read_model", "write_model"]

_ABOUT = "model.json"
_MODEL = "model"
_EXTRAS = "calibration.json"


class _About(Stored):
    """What a worker must find."""

    model: str
    precision: str
    versions: dict[str, str]


def write_model(folder: Path, estimator: Estimator, extras: Sequence[Extra]) -> dict[str, Any]:
    """Store an estimator and extras in an existing folder.

    Returns
    -------
    dict of str to object
        What has no stored form, since it is of a class of the user: ``estimator``, ``extras``.
    """
    own: dict[str, Any] = {}
    if _has_stored_form(estimator):
        estimator.save(folder / _MODEL)
    else:
        own["estimator"] = estimator
    if all(type(extra).__module__.startswith("astrocnn.calibration.") for extra in extras):
        kept = Calibration(estimator.fingerprint, {}, tuple(extras))  # type: ignore[arg-type]
        calibration.write(folder / _EXTRAS, kept)
    else:
        own["extras"] = tuple(extras)
    about = _About(
        model=estimator.fingerprint, precision=estimator.precision, versions=get_versions()
    )
    write_text(folder / _ABOUT, about.model_dump_json())
    return own


def read_model(folder: Path, own: Mapping[str, Any]) -> tuple[Estimator, Sequence[Extra]]:
    """Read what `write_model` stored, in a worker.

    Raises
    ------
    ClusterError
        If the worker has another version of TensorFlow or another model.
    """
    about: _About = read_json(folder / _ABOUT, _About, ClusterError)
    estimator = own.get("estimator") or load_estimator(folder / _MODEL)
    if "tensorflow" in sys.modules:
        for name, version in get_versions().items():
            validate_version(name, version, about.versions[name])
    found = (estimator.fingerprint, estimator.precision)
    expected = (about.model, about.precision)
    if found != expected:
        raise ClusterError(
            "A worker has another model than the prediction.",
            received=f"{found[0][:12]}, {found[1]}",
            allowed=f"{expected[0][:12]}, {expected[1]}",
            hint="for processors of several kinds set prediction.precision = 'float32'",
        )
    extras = own.get("extras")
    if extras is None:
        extras = calibration.read(folder / _EXTRAS, about.model).extras
    return estimator, extras


def list_catalog_columns(estimator: Estimator, extras: Sequence[Extra]) -> list[str] | None:
    """Columns of the catalogue, or differences, that a prediction reads; None for all."""
    names = list(estimator.inputs.scalars)
    for extra in extras:
        reads = getattr(extra, "catalog_columns", None)
        if reads is None:
            return None
        names += reads
    return names


def _has_stored_form(estimator: Estimator) -> bool:
    """Whether `load_estimator` knows what `save` writes."""
    kind = type(estimator)
    return getattr(sys.modules.get(kind.__module__), "ESTIMATOR", None) is kind
