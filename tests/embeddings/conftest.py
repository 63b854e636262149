"""Tables of embeddings without a network."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest


@pytest.fixture
def store(tmp_path):
    """Write vectors as Parquet, with integers or texts as identifiers; the path."""

    def write(vectors, ids=None, name="embedding", file="e.parquet"):
        vectors = np.asarray(vectors, np.float32)
        ids = np.arange(len(vectors)) + 2**60 if ids is None else ids
        lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        columns = {"id": pa.array(ids), "ra": np.linspace(0, 90, len(vectors)), name: lists}
        columns["dec"] = columns["ra"] - 45
        pq.write_table(pa.table(columns), tmp_path / file)
        return tmp_path / file

    return write


def cloud(n=400, d=5, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
