"""The cleaned catalogue: rows in are selected or rejected, columns are kept exactly."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from hypothesis import given
from hypothesis import strategies as st

from astrocnn.calibration.selection import Selection
from astrocnn.catalog import Catalog, read_catalog
from astrocnn.errors import PredictionError
from astrocnn.flags import Flag
from astrocnn.imaging import Inputs
from astrocnn.prediction import predict
from astrocnn.prediction.selection import select_objects, write_selected
from astrocnn.targets import make


def predictions(ids, verdict, why=None, flags=None) -> Table:
    n = len(ids)
    return Table(
        {
            "OBJECT_ID": ids,
            "flags": np.zeros(n, np.int32) if flags is None else flags,
            "selected": np.asarray(verdict, np.int16),
            "rejected_for": np.array([""] * n if why is None else why),
        }
    )


@pytest.fixture
def catalog() -> Catalog:
    table = Table(
        {
            "OBJECT_ID": np.array([-(2**62) - 1, 5, 2**62 + 1, 7, 999999], np.int64),
            "ra": [1.0, 2.0, 3.0, 4.0, np.nan],
            "dec": [0.0] * 5,
            "note": ["a", "", "ccc", "d", "e"],
            "spectrum": np.arange(15.0).reshape(5, 3),
        }
    )
    table["count"] = MaskedColumn([1, 2, 999999, 4, 5], mask=[0, 1, 0, 0, 0], dtype=np.int32)
    table["ra"].unit = "deg"
    return Catalog.from_table(table)


@given(st.lists(st.sampled_from([1, 0, -1]), min_size=1, max_size=30), st.integers(0, 99))
def test_every_row_is_in_one_of_the_two(verdict, seed):
    n = len(verdict)
    rng = np.random.default_rng(seed)
    ids = rng.choice(10**6, n, replace=False)
    order = rng.permutation(n)
    made = select_objects(
        Catalog.from_table({"OBJECT_ID": ids, "x": np.arange(n)}),
        predictions(ids[order], np.array(verdict)[order]),
    )
    assert len(made.selected) + len(made.rejected) == n
    assert set(made.selected["OBJECT_ID"]) | set(made.rejected["OBJECT_ID"]) == set(ids)
    assert made.selected["x"].tolist() == [i for i, v in enumerate(verdict) if v == 1]
    assert sum(made.counts.values()) == len(made.rejected)


def test_reasons(catalog):
    flags = np.array([0, 0, 0, Flag.NO_COVERAGE | Flag.NOT_PREDICTED, Flag.NOT_PREDICTED])
    flags[4] |= Flag.BAD_COORDINATES | Flag.NO_DATA_PIXELS
    said = predictions(catalog.ids, [0, 1, 0, -1, -1], ["ghost", "", "ghost", "", ""], flags)
    made = select_objects(catalog, said)
    assert made.rejected["reason"].tolist() == [
        "ghost",
        "ghost",
        "not predicted: no coverage",
        "not predicted: bad coordinates",
    ]
    assert next(iter(made.counts.items())) == ("ghost", 2)
    assert made.rejected.colnames == ["OBJECT_ID", "ra", "dec", "selected", "reason", "flags"]


def test_a_masked_verdict_is_no_prediction(catalog):
    said = predictions(catalog.ids, [1] * 5)
    said["selected"] = MaskedColumn(said["selected"], mask=[0, 1, 0, 0, 0])
    made = select_objects(catalog, said)
    assert made.rejected["OBJECT_ID"].tolist() == [5]
    assert made.rejected["reason"].tolist() == ["not predicted"]


def test_files_hold_all_columns_exactly(catalog, tmp_path):
    made = select_objects(
        catalog, predictions(catalog.ids, [1, 1, 1, 0, 0], ["", "", "", "edge", "a+b"])
    )
    out, other = write_selected(made, tmp_path / "clean.fits", cards=[("SEED", 3, "")])
    assert other.name == "clean-rejected.fits"
    back = read_catalog(out)
    assert back.ids.tolist() == catalog.ids[:3].tolist()
    assert back.table.colnames == catalog.table.colnames
    assert back.table["count"].mask.tolist() == [False, True, False]
    assert back.table["count"][2] == 999999
    np.testing.assert_array_equal(back.table["spectrum"], catalog.table["spectrum"][:3])
    assert back.table["ra"].unit == "deg"
    with fits.open(other, checksum=True) as hdus:
        assert hdus[0].header["SEED"] == 3
        assert hdus["REJECTED"].data["reason"].tolist() == ["edge", "a+b"]


@pytest.mark.parametrize("verdict", [0, 1])
def test_nothing_or_everything_is_selected(catalog, tmp_path, verdict):
    made = select_objects(catalog, predictions(catalog.ids, [verdict] * 5))
    paths = write_selected(made, tmp_path / "clean.fits")
    assert [len(fits.getdata(p, 1)) for p in paths] == [5 * verdict, 5 * (1 - verdict)]


def test_identifiers_are_compared_as_the_table_spells_them():
    names = ["a\u00e9", "b"]
    said = predictions(["b", "a\\xe9"], [1, 0], ["", "ghost"])
    made = select_objects(Catalog.from_table({"OBJECT_ID": names}), said)
    assert made.rejected["OBJECT_ID"].tolist() == ["a\u00e9"]


def test_other_objects_are_refused(catalog):
    ids = catalog.ids.copy()
    ids[1] = 6
    with pytest.raises(PredictionError, match=r"not of the objects[\s\S]*1 of 5"):
        select_objects(catalog, predictions(ids, [1] * 5))
    with pytest.raises(PredictionError, match="not of the objects"):
        select_objects(catalog, predictions(catalog.ids[:4], [1] * 4))
    with pytest.raises(PredictionError, match="no column 'OBJECT_ID'"):
        renamed = predictions(catalog.ids, [1] * 5)
        renamed.rename_column("OBJECT_ID", "objID")
        select_objects(catalog, renamed)


def test_predictions_without_a_selection_are_refused(catalog):
    said = predictions(catalog.ids, [1] * 5)
    said.remove_column("selected")
    with pytest.raises(PredictionError, match="hold no selection"):
        select_objects(catalog, said)


class Judge:
    """Usable where the mean pixel is bright; a ghost where it is in between."""

    precision = "float32"
    fingerprint = "judge"

    def __init__(self, size, bands):
        self.task = make("quality", reasons={"ghost": "has_ghost"})
        self.inputs = Inputs(bands=bands, size=size)

    def sample(self, images, scalars=None, *, draws=0, seed=0, views="one"):
        mean = images.mean(axis=(1, 2, 3), dtype=np.float64).clip(0, 1)
        said = {"usable": mean, "ghost": 1 - np.abs(4 * mean - 1.2)}
        return {name: p.astype(np.float32)[None, :, None].clip(0, 1) for name, p in said.items()}


def test_from_selection_to_cleaned_catalogue(fake, tmp_path):
    catalog, source = fake.survey()
    judge = Judge(source.size, source.bands)
    samples = judge.sample(source.read(np.arange(len(catalog))).images)
    p = samples["usable"][0, :, 0]
    rng = np.random.default_rng(0)
    truth = {"usable": p + rng.normal(0, 0.05, len(p)) > 0.4, "ghost": samples["ghost"][0] > 0.8}
    encoded = {k: np.nan_to_num(v.reshape(-1, 1).astype(np.float32)) for k, v in truth.items()}
    weights = {k: np.isfinite(p).astype(np.float32) for k in truth}
    selection = Selection.fit(judge.task, encoded, weights, samples, completeness=0.9)
    out = predict(judge, catalog, source, tmp_path / "p.fits", extras=(selection,))
    table = Table.read(out, hdu="PREDICTIONS")
    made = select_objects(catalog, table)
    good = np.isfinite(p)
    usable = truth["usable"] & good
    keep = good & (np.nan_to_num(p) >= np.float32(selection.threshold))
    assert made.selected["OBJECT_ID"].tolist() == catalog.ids[keep].tolist()
    assert (keep & usable).sum() / usable.sum() == selection.achieved["completeness"][0] >= 0.9
    reasons = dict(zip(made.rejected["OBJECT_ID"], made.rejected["reason"], strict=True))
    assert reasons[catalog.ids[fake.broken]].startswith("not predicted: band missing")
    assert {"ghost", "usable probability low"} <= set(reasons.values())
    assert len(made.selected) + len(made.rejected) == len(catalog)
