"""Shards and batches of a catalogue that has no images."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from astrocnn.catalog import Catalog
from astrocnn.datasets import Shards, build_dataset, find_usable_rows, split_rows, write_shards
from astrocnn.errors import CatalogError, ConfigError, InputsError
from astrocnn.flags import Flag
from astrocnn.imaging import Inputs, NoImages
from astrocnn.targets.tasks.morphology import task as morphology

N = 40
TASK = morphology(classes=("elliptical", "spiral"), column="kind")
INPUTS = Inputs((), 0, scalars=("mag_u", "mag_r"))


def make_catalog(missing=(99.0,)) -> Catalog:
    rng = np.random.default_rng(1)
    table = Table(
        {
            "id": np.arange(N),
            "mag_u": rng.normal(20, 1, N),
            "mag_r": rng.normal(18, 1, N),
            "kind": np.where(np.arange(N) % 2, "spiral", "elliptical"),
        }
    )
    table["mag_u"][[4, 9]] = 99.0
    return Catalog.from_table(table, missing=missing)


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Shards:
    folder = tmp_path_factory.mktemp("bare")
    return write_shards(folder, make_catalog(), NoImages(N), INPUTS, rows_per_shard=16)


def test_shards_hold_the_table_only(bare: Shards) -> None:
    assert len(bare) == N and bare.bands == () and "pixels none" in repr(bare)
    assert bare.images([3, 1]).shape == (2, 0, 0, 0)
    cutouts = bare.read(np.array([9, 0]))
    assert cutouts.no_data.shape == (2, 0)
    assert cutouts.flags.tolist() == [Flag.SCALAR_MISSING, 0]
    np.testing.assert_allclose(bare.scalars(("mag_r",))[:, 0], make_catalog().numbers("mag_r"))
    assert (bare.content == "").all()
    with fits.open(bare.directory / "shard-000002.fits") as file:
        assert file["IMAGE"].data is None and len(file["OBJECTS"].data) == 8
        file.verify("exception")
    bare.verify()


@pytest.mark.skipif(shutil.which("fitsverify") is None, reason="fitsverify is not installed")
def test_fitsverify_has_no_complaint(bare: Shards) -> None:
    done = subprocess.run(
        ["fitsverify", "-q", str(bare.directory / "shard-000000.fits")],
        capture_output=True,
        text=True,
    )
    assert "verification OK" in done.stdout, done.stdout


def test_finished_shards_are_not_written_again(bare: Shards) -> None:
    before = {p.name: p.stat().st_mtime_ns for p in bare.directory.glob("shard*")}
    write_shards(bare.directory, make_catalog(), NoImages(N), INPUTS, rows_per_shard=16)
    assert {p.name: p.stat().st_mtime_ns for p in bare.directory.glob("shard*")} == before


def test_a_row_without_a_scalar_is_kept_but_not_used(bare: Shards) -> None:
    rows, reasons = find_usable_rows(bare, INPUTS)
    assert sorted(set(range(N)) - set(rows.tolist())) == [4, 9]
    assert reasons == {Flag.SCALAR_MISSING.sentence: 2}
    train, validation, test = split_rows(bare, TASK, INPUTS)
    assert len(train) + len(validation) + len(test) == N - 2
    assert bare.catalog.missing == (99.0,)


def test_undeclared_sentinels_are_refused_before_anything_is_written(tmp_path) -> None:
    with pytest.raises(CatalogError, match="mag_u: 2 x 99"):
        write_shards(tmp_path / "s", make_catalog(None), NoImages(N), INPUTS)
    assert not (tmp_path / "s").exists()
    taken = write_shards(tmp_path / "s", make_catalog(()), NoImages(N), INPUTS)
    assert taken.scalars(("mag_u",))[4, 0] == 99.0 and taken.catalog.missing == ()


def test_batches_are_standardized_scalars_without_images(bare: Shards) -> None:
    rows = find_usable_rows(bare, INPUTS)[0]
    inputs = INPUTS.with_scalar_statistics(bare.scalars(INPUTS.scalars)[rows])
    data = build_dataset(bare, rows, TASK, inputs, batch_size=15, shuffle=True, seed=3)
    batches = list(data)
    assert [len(y["morphology"]) for _, y, _ in batches] == [15, 15, 8] and len(data) == 3
    assert set(batches[0][0]) == {"scalars"}
    got = np.concatenate([x["scalars"] for x, _, _ in batches])
    np.testing.assert_allclose(got.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(got.std(axis=0), 1, rtol=1e-5)
    standard = inputs.standardize(bare.scalars(INPUTS.scalars))
    want = {values.tobytes(): row for row, values in enumerate(standard)}
    order = [want[v.tobytes()] for v in got]
    assert sorted(order) == rows.tolist() != order
    y = np.concatenate([y["morphology"] for _, y, _ in batches])
    np.testing.assert_array_equal(y[:, 1], np.array(order) % 2)
    second = np.concatenate([x["scalars"] for x, _, _ in data])
    assert not np.array_equal(got, second)


def test_shards_with_images_serve_a_model_without(shards) -> None:
    rows = np.array([1, 2, 3, 4])  # 3 lacks a band, 4 has no data at all
    inputs = Inputs((), 0, scalars=("ebv",))
    assert find_usable_rows(shards, inputs)[0].tolist() == [i for i in range(len(shards)) if i != 8]
    (x,) = build_dataset(shards, rows, None, inputs)
    np.testing.assert_array_equal(x["scalars"], shards.scalars(("ebv",))[rows])


def test_refusals(bare: Shards) -> None:
    with pytest.raises(ConfigError, match="Augmentation needs images"):
        build_dataset(bare, [0], TASK, INPUTS, augmentation={"d4": True})
    with pytest.raises(InputsError, match="missing g"):
        find_usable_rows(bare, Inputs(("g",), 8))
    empty = Inputs((), 0, scalars=("none",))
    with pytest.raises(CatalogError, match="none"):
        find_usable_rows(bare, empty)
