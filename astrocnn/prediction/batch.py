"""What an extra sees, and what it must offer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from astrocnn.catalog import Catalog
    from astrocnn.column import Column
    from astrocnn.estimators import Estimator

__all__ = ["Batch", "Extra"]


@dataclass(frozen=True)
class Batch:
    """Some predicted objects, row for row; rows that cannot be predicted are not among them.

    Attributes
    ----------
    catalog : Catalog
        Their rows of the catalogue.
    images : ndarray of shape (n, size, size, n_bands)
        Linear fluxes, NaN where there are no data.
    scalars : ndarray of shape (n, n_scalars) or None
        Scalar inputs as the catalogue has them; None when the estimator takes none.
    samples : mapping of str to ndarray of shape (n_draws, n, units)
        Activated parameters by target.
    columns : mapping of str to ndarray of shape (n,)
        What the task said of the samples.
    estimator : Estimator
        What predicted them.
    """

    catalog: Catalog
    images: np.ndarray
    scalars: np.ndarray | None
    samples: Mapping[str, np.ndarray]
    columns: Mapping[str, np.ndarray]
    estimator: Estimator

    def __len__(self) -> int:
        return len(self.catalog)


class Extra(Protocol):
    """Further columns computed from a prediction: a conformal set, a distance, a verdict.

    An extra tells each object by itself, so that no result depends on what else is in the batch.
    Where there is no prediction its columns hold NaN, an empty text, False, or, for integers,
    what the optional attribute ``absent`` (a mapping from column to integer) says, else -1.
    """

    fingerprint: str
    """Digest of all that its columns depend on beside the batch."""

    def columns(self) -> tuple[Column, ...]:
        """Descriptions of its columns."""

    def compute(self, batch: Batch) -> dict[str, Any]:
        """Values of shape (n,) for each of its columns, by name."""
