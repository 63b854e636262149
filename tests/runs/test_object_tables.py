"""Tables of objects come back as they were written, and objects are found by identifier."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.catalog import Catalog
from astrocnn.errors import ConfigError, PredictionError
from astrocnn.runs.object_tables import find_objects, validate_outputs, write_objects

IDS = np.array([2**62 + 1, -(2**62) - 3, 0], np.int64)


@pytest.mark.parametrize("suffix", [".csv", ".fits"])
def test_tables_come_back_exactly(tmp_path, suffix):
    table = Table(
        {"id": IDS, "score": [0.1, 1e-300, -2.5], "rank": [1, 2, 3], "name": ["a", "b c", "d,e"]}
    )
    out = tmp_path / f"objects{suffix}"
    write_objects(table, out, "objects")
    write_objects(table, out, "objects")
    back = Table.read(out)
    assert back.colnames == table.colnames
    for name in ("id", "score", "rank"):
        np.testing.assert_array_equal(back[name], table[name])
    assert [str(value) for value in back["name"].astype(str)] == list(table["name"])
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_identifiers_are_found_in_any_order():
    catalog = Catalog.from_table(Table({"id": IDS}), id="id")
    assert find_objects(catalog, IDS[[2, 0, 2]]).tolist() == [2, 0, 2]
    assert find_objects(catalog, [str(IDS[1])]).tolist() == [1]
    # A neighbor that a float could not tell apart is another object.
    with pytest.raises(PredictionError, match="not in the catalogue") as caught:
        find_objects(catalog, IDS + 1)
    assert str(IDS[0] + 1) in str(caught.value)


def test_outputs_have_a_known_format_and_replace_no_input(tmp_path):
    with pytest.raises(ConfigError, match="unknown format"):
        validate_outputs(tmp_path / "a.txt")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        validate_outputs(tmp_path / "folder.csv")
    out = tmp_path / "a.csv"
    validate_outputs(out, out)
    out.touch()
    (tmp_path / "link.csv").symlink_to(out)
    validate_outputs(out, tmp_path / "absent.csv")
    with pytest.raises(ConfigError, match="would be replaced"):
        validate_outputs(tmp_path / "link.csv", tmp_path / "b.csv", out)
