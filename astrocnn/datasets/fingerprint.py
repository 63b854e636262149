"""By what a run knows its own shards: digests of everything that went into them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from astrocnn.catalog import Catalog
from astrocnn.datasets.columns import StoredColumn
from astrocnn.imaging import Inputs

if TYPE_CHECKING:
    from astrocnn.imaging import Source

__all__ = ["CARDS", "fingerprint_of"]

CARDS = {
    "FP_INPUT": "bands, size, pixel scale or unit",
    "FP_ROWS": "identifiers or positions",
    "FP_TABLE": "columns of the catalogue or their values",
    "FP_IMAGE": "image files",
    "FP_PLAN": "rows per shard or their order",
}
"""Header cards, and what differs when one of them does."""


def fingerprint_of(
    catalog: Catalog,
    source: Source,
    inputs: Inputs,
    columns: Sequence[tuple[StoredColumn, np.ndarray]],
    order: np.ndarray,
    rows_per_shard: int,
) -> dict[str, str]:
    """Digests by header card.

    Parameters
    ----------
    columns : sequence of (StoredColumn, ndarray)
        The identifier and the coordinates first, then the columns kept beside the images.
    """
    own = [pair for pair in columns if pair[0].stored in ("id", "ra", "dec")]
    kept = [pair for pair in columns if pair[0].stored not in ("id", "ra", "dec")]
    return {
        "FP_INPUT": _digest(inputs.bands, inputs.size, inputs.pixel_scale, inputs.unit),
        "FP_ROWS": _digest(*(part for pair in own for part in pair), catalog.flags),
        "FP_TABLE": _digest(*(part for pair in kept for part in pair), inputs.scalars),
        "FP_IMAGE": _digest(source.fingerprint),
        "FP_PLAN": _digest(order, rows_per_shard),
    }


def _digest(*parts: Any) -> str:
    total = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray):
            total.update(f"{part.dtype.str}{part.shape}".encode())
            total.update(np.ascontiguousarray(part).tobytes())
        else:
            total.update(repr(part).encode())
    return total.hexdigest()
