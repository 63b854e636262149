"""The approximate index of neighbors, beside exact search."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.embeddings import find_similar, open_index
from astrocnn.errors import ConfigError, PredictionError

from .conftest import cloud

pytest.importorskip("usearch", reason="needs the extra similar")
FIRST = 2**60


def test_the_index_finds_what_exact_search_finds(store, tmp_path):
    x = cloud(5000, 16)
    x[[3, 77]] = np.nan
    path = store(x)
    index = open_index(path, tmp_path / "index")
    assert index.count == 4998 and index.recall > 0.99
    hits = []
    for row in range(100, 110):
        exact = find_similar(path, [str(FIRST + row)], 30)
        found = find_similar(path, [str(FIRST + row)], 30, index=index)
        assert found.colnames == exact.colnames and len(found) == 30
        assert FIRST + row not in found["id"].tolist()
        hits.append(np.isin(found["id"], exact["id"]).mean())
        # Identifiers beyond 2^53, positions and distances are those of the table.
        same = {name: k for k, name in enumerate(exact["id"].tolist())}
        for found_row in found:
            if found_row["id"] in same:
                other = exact[same[found_row["id"]]]
                assert found_row["ra"] == other["ra"]
                assert found_row["distance"] == pytest.approx(other["distance"], rel=1e-3)
    # The stated recall is that of 5000 neighbors; these are 300 others.
    assert np.mean(hits) == pytest.approx(index.recall, abs=0.03)


def test_several_examples_and_texts(store, tmp_path):
    x = [[0, 0], [10, 0], [1, 0], [9, 0], [4.8, 0], [5.3, 0.1], [11, 1], [np.nan, 0]]
    path = store(x, ids=["a", "b", "near a", "near b", "m1", "m2", "c", "empty"])
    index = open_index(path, tmp_path / "index")
    for n in (2, 4, 99):
        exact, found = (find_similar(path, ["b ", "a"], n, index=i) for i in (None, index))
        assert found["id"].tolist() == exact["id"].tolist()
        assert found["nearest"].tolist() == exact["nearest"].tolist()
    assert index.recall == 1
    with pytest.raises(PredictionError, match="no such object"):
        find_similar(path, ["d"], 2, index=index)
    with pytest.raises(PredictionError, match="no embedding"):
        find_similar(path, ["empty"], 2, index=index)


def test_an_index_belongs_to_its_table(store, tmp_path):
    folder = tmp_path / "index"
    path = store(cloud(60))
    open_index(path, folder)
    written = (folder / "index.usearch").stat().st_mtime_ns
    open_index(path, folder)
    assert (folder / "index.usearch").stat().st_mtime_ns == written
    path = store(cloud(70, seed=2))
    assert open_index(path, folder).count == 70
    data = bytearray((folder / "index.usearch").read_bytes())
    data[len(data) // 2] ^= 255
    (folder / "index.usearch").write_bytes(data)
    with pytest.raises(PredictionError, match="damaged"):
        open_index(path, folder)
    with pytest.raises(ConfigError, match="no index is in it"):
        open_index(path, tmp_path)


def test_an_index_of_other_identifiers_is_built_again(tmp_path):
    path, x = tmp_path / "e.fits", cloud(60)
    Table({"id": np.arange(60), "name": [f"n{k}" for k in range(60)], "x": x}).write(path)
    assert open_index(path, tmp_path / "index").ids.tolist() == list(range(60))
    index = open_index(path, tmp_path / "index", id="name")
    assert index.ids[7] == "n7"
    found = find_similar(path, ["n7"], 5, index=index)
    assert found["name"].tolist() == find_similar(path, ["n7"], 5, id="name")["name"].tolist()
