"""A catalogue and its images by reference: what is opened gives the rows and pixels of before."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from astrocnn.catalog import Catalog, read_catalog
from astrocnn.datasets import write_shards
from astrocnn.datasets.object_store import read_objects, write_objects
from astrocnn.errors import ClusterError
from astrocnn.imaging import ArraySource, NoImages, Survey, open_source, read_survey
from astrocnn.imaging.sources import tiles
from astrocnn.simulation import simulate

N = 12


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sky")
    simulate(folder, n_objects=40, seed=3, tile_size=300, invalid_rows=2)
    return folder


@pytest.fixture
def catalog():
    table = Table({"name": [f"J{i:02d}" for i in range(N)], "RA": np.linspace(0, 1, N)})
    table["Dec"] = np.linspace(-1, 1, N)
    table["mag"] = MaskedColumn(np.arange(N), mask=np.arange(N) % 3 == 0)
    table["g"], table["r"], table["other"] = np.arange(3 * N).reshape(3, N) / 7
    return Catalog.from_table(table, id="name")


def test_rows_are_those_of_the_catalogue(catalog, tmp_path):
    assert write_objects(tmp_path, catalog, NoImages(N)) is None
    again, source = read_objects(tmp_path)
    rows = np.array([7, 3, 9])
    for name in catalog.table.colnames:
        for one, other in zip(catalog[rows].column(name), again[rows].column(name), strict=True):
            np.testing.assert_array_equal(one, other)
    for name in ("ids", "ra", "dec", "flags"):
        np.testing.assert_array_equal(getattr(catalog, name), getattr(again, name))
    np.testing.assert_array_equal(catalog.numbers("g - r"), again.numbers("g - r"))
    assert len(source) == N and again.roles == catalog.roles


def test_only_what_is_needed_is_stored(catalog, tmp_path):
    write_objects(tmp_path, catalog, NoImages(N), ["g - R", "mag"])
    about = json.loads((tmp_path / "objects.json").read_text())
    assert about["columns"] == ["name", "RA", "Dec", "g", "r", "mag"]


def read_all(source):
    cutouts = source.read(np.arange(len(source)))
    return cutouts.images.tobytes(), cutouts.flags.tobytes(), cutouts.no_data.tobytes()


@pytest.mark.parametrize("at_once", [100_000, 0])
def test_tiles_from_another_folder(sky, tmp_path, monkeypatch, at_once):
    """Paths that count from the current folder are stored whole; tiles are assigned in parts."""
    monkeypatch.chdir(sky)
    monkeypatch.setattr(tiles, "ASSIGN_ALL", at_once)
    catalog = read_catalog("catalog.fits")
    columns = {name: catalog.table[name] for name in catalog.table.colnames}
    survey = read_survey("survey.toml")
    source = open_source(survey, ra=catalog.ra, dec=catalog.dec, columns=columns, size=16)
    expected, state = read_all(source), source.state([4, 1])
    write_objects(tmp_path, catalog, source, ())
    monkeypatch.chdir(tmp_path)
    _, opened = read_objects(tmp_path)
    assert read_all(opened) == expected and opened.state([4, 1]) == state
    assert (opened._assigned is None) == (at_once == 0)
    assert str(opened.wcs(4)) == str(source.wcs(4))


def test_stamps_need_the_columns_of_their_names(catalog, tmp_path):
    rng = np.random.default_rng(1)
    for name in catalog.ids[1:]:
        fits.writeto(tmp_path / f"{name}.fits", rng.normal(size=(8, 8)).astype(np.float32))
    bands = [{"name": "r", "image": "{name}.fits"}]
    survey = Survey.from_dict({"name": "s", "kind": "stamps", "bands": bands}, tmp_path)
    source = open_source(survey, columns={"name": catalog.ids}, size=8)
    (tmp_path / "store").mkdir()
    write_objects(tmp_path / "store", catalog, source, ())
    _, opened = read_objects(tmp_path / "store")
    assert read_all(opened) == read_all(source)


def test_arrays_are_stored_and_sources_of_the_user_are_returned(catalog, tmp_path):
    source = ArraySource(np.random.default_rng(2).normal(size=(N, 8, 8, 2)), ["g", "r"], 0.2, "nJy")
    assert write_objects(tmp_path, catalog, source, ()) is None
    _, opened = read_objects(tmp_path)
    assert read_all(opened) == read_all(source) and opened.fingerprint == source.fingerprint
    assert (opened.pixel_scale, opened.unit) == (0.2, "nJy")

    class Own(ArraySource):
        pass

    own = Own(source.images, ["g", "r"])
    assert write_objects(tmp_path, catalog, own, ()) is own
    assert read_objects(tmp_path, own)[1] is own


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY\x01\x00", b"PK\x03\x04", None])
def test_damaged_arrays_are_a_sentence(catalog, tmp_path, damage):
    write_objects(tmp_path, catalog, NoImages(N))
    path = tmp_path / "column-3.npy"
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    with pytest.raises(ClusterError, match=r"column-3.npy' cannot be read"):
        read_objects(tmp_path)


def test_shards_of_workers_are_those_of_one_process(sky, tmp_path):
    catalog = read_catalog(sky / "catalog.fits")
    survey = read_survey(sky / "survey.toml")

    def write(folder, scheduler=None):
        source = open_source(survey, ra=catalog.ra, dec=catalog.dec, size=12)
        return write_shards(
            tmp_path / folder, catalog, source, rows_per_shard=7, scheduler=scheduler
        )

    write("one")
    with ThreadPoolExecutor(2) as pool:
        write("many", pool)
        names = sorted(os.listdir(tmp_path / "many"))
        assert names == sorted(os.listdir(tmp_path / "one")) and len(names) == 7
        for name in names:
            assert (tmp_path / "many" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
        # A shard that is lost is cut again, and no other.
        times = {n: os.stat(tmp_path / "many" / n).st_mtime_ns for n in names if "shard" in n}
        (tmp_path / "many" / names[-2]).unlink()
        write("many", pool)
    lost = [n for n, t in times.items() if os.stat(tmp_path / "many" / n).st_mtime_ns != t]
    assert lost == [names[-2]]
    assert (tmp_path / "many" / lost[0]).read_bytes() == (tmp_path / "one" / lost[0]).read_bytes()
