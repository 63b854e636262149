"""Provenance of a prediction: the values behind its fingerprint and the cards of its header."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from astrocnn import __version__
from astrocnn.backend import get_versions
from astrocnn.calibration import Extra
from astrocnn.catalog import Catalog
from astrocnn.estimators.base import Estimator
from astrocnn.flags import Flag
from astrocnn.imaging import Source
from astrocnn.prediction.objects import stack_scalars

__all__ = ["Provenance", "compute_digest"]

_COMMENTS = {
    "MODELSHA": "digest of the network",
    "CONFSHA": "digest of the run file",
    "CATSHA": "digest of identifiers and positions",
    "IMAGESHA": "digest of samples of the images",
    "SURVEY": "name of the survey",
}


@dataclass(frozen=True)
class Provenance:
    """All inputs that determine the predicted numbers.

    Parameters
    ----------
    estimator, catalog, source, extras
        As for `astrocnn.prediction.predict`.
    options : mapping
        ``draws``, ``seed``, ``views`` and ``pdf``.
    given : mapping of str to str
        Further digests and names, by FITS keyword.
    """

    estimator: Estimator
    catalog: Catalog
    source: Source
    extras: Sequence[Extra]
    options: Mapping[str, object]
    given: Mapping[str, str]

    @cached_property
    def identity(self) -> dict[str, str]:
        """Digests and names of model, catalogue and images, by FITS keyword."""
        positions = [p for p in (self.catalog.ra, self.catalog.dec) if p is not None]
        return {
            "MODELSHA": self.estimator.fingerprint,
            **self.given,
            "CATSHA": compute_digest(self.catalog.ids, *positions),
            "IMAGESHA": self.source.fingerprint,
        }

    def facts(self) -> dict[str, object]:
        """Plain values from which the fingerprint of the plan is computed."""
        scalars = stack_scalars(self.catalog, self.estimator.inputs.scalars)
        return {
            **self.identity,
            "weights": self.estimator.fingerprint,
            "scalars": None if scalars is None else compute_digest(scalars),
            "inputs": self.estimator.inputs.to_json(),
            "precision": self.estimator.precision,
            "extras": [[e.fingerprint, *(repr(c) for c in e.columns())] for e in self.extras],
            **self.options,
        }

    def cards(self, fingerprint: str) -> list[tuple[str, object, str]]:
        """Keyword, value and comment of each card of the primary header."""
        versions = get_versions()
        cards: list[tuple[str, object, str]] = [
            ("FPRINT", fingerprint, "fingerprint of the prediction"),
            ("ORIGIN", f"astrocnn {__version__}", "software"),
            ("TFVER", versions["tensorflow"], "TensorFlow version"),
            ("KERASVER", versions["keras"], "Keras version"),
            ("NDRAWS", self.options["draws"], "stochastic forward passes (0: deterministic)"),
            ("SEED", self.options["seed"], "seed of the draws"),
            ("VIEWS", self.options["views"], "orientations averaged"),
            ("PRECIS", self.estimator.precision, "arithmetic of the network"),
        ]
        cards += [
            (key.upper()[:8], value, _COMMENTS.get(key.upper(), ""))
            for key, value in self.identity.items()
        ]
        cards += [
            (f"EXTRA{number}", f"{type(extra).__name__} {extra.fingerprint}", "further columns")
            for number, extra in enumerate(self.extras, start=1)
        ]
        cards += [
            (f"FLAG{flag.bit_length() - 1}", flag.sentence, f"bit {int(flag)}") for flag in Flag
        ]
        return cards


def compute_digest(*arrays: np.ndarray) -> str:
    """SHA-256 over the contents and types of arrays."""
    total = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(array.view(np.uint8).data if array.size else b"")
    return total.hexdigest()
