"""What a prediction depends on: the facts of its fingerprint and the cards of its header."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from astrocnn import __version__
from astrocnn.backend import get_versions
from astrocnn.flags import Flag
from astrocnn.prediction.batch import Extra
from astrocnn.prediction.plan import digest
from astrocnn.prediction.rows import scalars_of

if TYPE_CHECKING:
    from astrocnn.catalog import Catalog
    from astrocnn.estimators import Estimator
    from astrocnn.imaging import Source

__all__ = ["cards", "facts", "identities"]

_SAID = {
    "MODELSHA": "digest of the network",
    "CONFSHA": "digest of the run file",
    "CATSHA": "digest of identifiers and positions",
    "IMAGESHA": "digest of samples of the images",
    "SURVEY": "name of the survey",
}


def identities(
    estimator: Estimator, catalog: Catalog, source: Source, given: Mapping[str, str] | None
) -> dict[str, str]:
    """Digests and names of model, catalogue and images, and what else was given."""
    positions = [p for p in (catalog.ra, catalog.dec) if p is not None]
    return {
        "MODELSHA": estimator.fingerprint,
        **(given or {}),
        "CATSHA": digest(catalog.ids, *positions),
        "IMAGESHA": source.fingerprint,
    }


def facts(
    estimator: Estimator,
    catalog: Catalog,
    identity: Mapping[str, str],
    extras: Sequence[Extra],
    way: Mapping[str, object],
) -> dict[str, object]:
    """All that the predicted numbers depend on, for the fingerprint of the plan."""
    scalars = scalars_of(catalog, estimator)
    return {
        **identity,
        "weights": estimator.fingerprint,
        "scalars": None if scalars is None else digest(scalars),
        "inputs": estimator.inputs.to_json(),
        "precision": estimator.precision,
        "extras": [[extra.fingerprint, *(repr(c) for c in extra.columns())] for extra in extras],
        **way,
    }


def cards(
    estimator: Estimator,
    fingerprint: str,
    identity: Mapping[str, str],
    extras: Sequence[Extra],
    way: Mapping[str, object],
) -> list[tuple[str, object, str]]:
    """Cards of the primary header."""
    versions = get_versions()
    found: list[tuple[str, object, str]] = [
        ("FPRINT", fingerprint, "fingerprint of the prediction"),
        ("ORIGIN", f"astrocnn {__version__}", "software"),
        ("TFVER", versions["tensorflow"], "TensorFlow version"),
        ("KERASVER", versions["keras"], "Keras version"),
        ("NDRAWS", way["draws"], "stochastic forward passes (0: deterministic)"),
        ("SEED", way["seed"], "seed of the draws"),
        ("VIEWS", way["views"], "orientations averaged"),
        ("PRECIS", estimator.precision, "arithmetic of the network"),
    ]
    found += [
        (key.upper()[:8], value, _SAID.get(key.upper(), "")) for key, value in identity.items()
    ]
    found += [
        (f"EXTRA{number}", f"{type(extra).__name__} {extra.fingerprint}", "further columns")
        for number, extra in enumerate(extras, start=1)
    ]
    found += [(f"FLAG{flag.bit_length() - 1}", flag.sentence, f"bit {int(flag)}") for flag in Flag]
    return found
