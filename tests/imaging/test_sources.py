"""The contract of sources: every listed one, arrays, none at all, and one from a user's file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from astrocnn import plugins
from astrocnn.catalog import Catalog
from astrocnn.datasets import Shards, write_shards
from astrocnn.errors import ConfigError, ImageError
from astrocnn.flags import Flag
from astrocnn.imaging import (
    ArraySource,
    Inputs,
    NoImages,
    Source,
    Survey,
    get_cutout_wcs,
    open_source,
    read_survey,
)

N, SIZE = 23, 8
RNG = np.random.default_rng(5)
PIXELS = RNG.normal(0, 1, (N, SIZE, SIZE, 2)).astype(np.float32)
PIXELS[3, 2, 2, 0] = np.nan
PIXELS[4, ..., 1] = np.nan

NPY_SOURCE = '''
"""Cutouts of one .npy file per band, in the order of the catalogue."""

import hashlib

import numpy as np

from astrocnn.imaging import ArraySource


class NpySource(ArraySource):
    def __init__(self, survey, *, ra, dec, columns, size, scale=1.0):
        planes = [np.load(band.image, mmap_mode="r") for band in survey.bands]
        scale = scale * survey.options.get("scale", 1.0)
        low = (planes[0].shape[1] - size) // 2
        images = np.stack(planes, axis=-1)[:, low : low + size, low : low + size]
        super().__init__(images * scale, survey.band_names, survey.pixel_scale, survey.unit)
'''


ARRAYS = {
    "npy": ("a.npz", "images"),
    "hdf5": ("a.h5", "group/images"),
    "zarr": ("a.zarr", "group/images"),
    "parquet": ("a.parquet", "group.images"),
}


def write_arrays(path: Path, images: np.ndarray) -> None:
    """Write one array to a file of a kind."""
    if path.suffix == ".npz":
        np.savez(path, images=images)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["group/images"] = images
    elif path.suffix == ".zarr":
        zarr = pytest.importorskip("zarr")
        root = zarr.open_group(path, mode="w")
        root.create_array("group/images", data=images, chunks=(5, 2, 8, 8))
    else:
        values = pa.array([{"images": image} for image in images.tolist()])
        pq.write_table(pa.table({"group": values}), path, row_group_size=5)


@pytest.fixture
def npy_survey(tmp_path, monkeypatch) -> Path:
    """A survey file that names a source beside it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(plugins, "_trusted", set())
    (tmp_path / "npy.py").write_text(NPY_SOURCE)
    for k, band in enumerate("gr"):
        np.save(tmp_path / f"{band}.npy", PIXELS[..., k])
    (tmp_path / "survey.toml").write_text(
        'kind = "npy.py:NpySource"\nbands = ["g", "r"]\nimage = "{band}.npy"\npixel_scale = 0.5\n'
        "options = {scale = 2.0}\n"
    )
    return tmp_path / "survey.toml"


@pytest.fixture(
    params=["tiles", "stamps", "npy", "hdf5", "zarr", "parquet", "arrays", "own", "none"]
)
def opened(request, tmp_path, tile, npy_survey):
    """A source of `N` objects of every kind."""
    if request.param == "tiles":
        wcs, _ = tile(tmp_path / "g.fits", 1)
        tile(tmp_path / "r.fits", 2)
        ra, dec = wcs.all_pix2world(np.linspace(-20, 70, N), np.linspace(5, 45, N), 0)
        ra[5] = np.nan
        survey = Survey.from_dict({"bands": ["g", "r"], "image": "{band}.fits"}, tmp_path)
        return lambda: open_source(survey, ra, dec, size=SIZE)
    if request.param == "stamps":
        for k in range(N - 2):
            fits.writeto(tmp_path / f"{k}.fits", PIXELS[k].transpose(2, 0, 1))
        (tmp_path / f"{N - 2}.fits").write_bytes(b"no image")
        bands = [{"name": "g", "plane": 0}, {"name": "r", "plane": 1}]
        survey = Survey.from_dict(
            {"kind": "stamps", "image": "{id}.fits", "bands": bands}, tmp_path
        )
        return lambda: open_source(survey, columns={"id": np.arange(N)}, size=SIZE)
    if request.param == "own":
        return lambda: open_source(read_survey(npy_survey), size=SIZE, trusted=True)
    if request.param in ARRAYS:
        name, hdu = ARRAYS[request.param]
        write_arrays(tmp_path / name, PIXELS.transpose(0, 3, 1, 2))
        mapping = {"kind": request.param, "bands": ["g", "r"], "image": name, "hdu": hdu}
        mapping["options"] = {"row": "row"}
        survey = Survey.from_dict(mapping, tmp_path)
        places = np.arange(N)[::-1].copy()
        places[6] = N
        return lambda: open_source(survey, columns={"row": places}, size=SIZE)
    if request.param == "none":
        return lambda: NoImages(N)
    return lambda: ArraySource(PIXELS, ["g", "r"])


def test_every_listed_kind_is_tried_here():
    assert set(plugins.names("sources")) >= {"stamps", "tiles"}
    assert set(plugins.module_names("astrocnn.imaging.sources")) == {
        "hdf5",
        "npy",
        "parquet",
        "stamps",
        "tiles",
        "zarr",
    }


def test_contract_of_a_source(opened):
    source = opened()
    assert isinstance(source, Source)
    assert len(source) == N
    shape = (source.size, source.size, len(source.bands))
    every = source.read(np.arange(N))
    assert every.images.shape == (N, *shape) and every.images.dtype == np.float32
    assert every.flags.shape == (N,) and every.flags.dtype == np.int32
    assert every.no_data.shape == (N, len(source.bands))
    order = source.order()
    assert order.dtype == np.int64 and sorted(order.tolist()) == list(range(N))

    # One row in is one row out, also of rows in any order, twice, or none at all.
    rows = np.array([7, 0, 7, N - 1, 3])
    some = source.read(rows)
    np.testing.assert_array_equal(some.images, every.images[rows])
    np.testing.assert_array_equal(some.flags, every.flags[rows])
    np.testing.assert_array_equal(some.no_data, every.no_data[rows])
    assert source.read([]).images.shape == (0, *shape)

    # Missing pixels are NaN, counted, and flagged where a whole band is missing.
    assert not np.isinf(every.images).any()
    missing = np.isnan(every.images)
    if missing.size:
        np.testing.assert_allclose(every.no_data, missing.mean(axis=(1, 2)), atol=1e-6)
        lost = missing.all(axis=(1, 2)).any(axis=1)
        assert ((every.flags & Flag.BAND_MISSING) > 0).tolist() == lost.tolist()

    # It writes to the array it is given, and no other.
    out = np.full((2, *shape), 7, np.float32)
    assert source.read([1, 2], out).images is out
    np.testing.assert_array_equal(out, every.images[1:3])
    with pytest.raises(ImageError, match="not a contiguous float32 array"):
        source.read([1, 2], np.zeros((3, *shape), np.float32))

    with ThreadPoolExecutor(4) as pool:
        for k, one in enumerate(pool.map(lambda k: source.read([k]), range(N))):
            np.testing.assert_array_equal(one.images[0], every.images[k])

    again = opened()
    assert again.fingerprint == source.fingerprint
    np.testing.assert_array_equal(again.read(rows).images, some.images)
    assert source.unit is None or isinstance(source.unit, str)
    wcs = get_cutout_wcs(source, 0)
    assert wcs is None or wcs.naxis == 2


def test_source_of_a_file_is_cut_to_shards(npy_survey, tmp_path):
    survey = read_survey(npy_survey)
    source = open_source(survey, size=6, trusted=True)
    catalog = Catalog.from_table({"id": np.arange(N) * 10})
    shards = write_shards(tmp_path / "shards", catalog, source, rows_per_shard=7)
    assert shards.inputs == Inputs(("g", "r"), 6, pixel_scale=0.5)
    again = Shards.open(tmp_path / "shards")
    np.testing.assert_array_equal(again.read(np.arange(N)).images, 2 * PIXELS[:, 1:7, 1:7])
    assert again.ids.tolist() == catalog.ids.tolist()


def test_code_of_a_survey_file_runs_only_when_it_is_trusted(npy_survey):
    survey = read_survey(npy_survey)
    with pytest.raises(ConfigError, match=r"(?s)not trusted on this machine.*--plugin"):
        open_source(survey, size=SIZE)
    open_source(survey, size=SIZE, trusted=True)
    assert len(open_source(survey, size=SIZE)) == N
    npy_survey.with_name("npy.py").write_text(NPY_SOURCE + "\n")
    with pytest.raises(ConfigError, match="not trusted"):
        open_source(survey, size=SIZE)


def test_source_of_an_object_and_of_an_entry_point(tmp_path, monkeypatch):
    def source(survey, *, ra, dec, columns, size, **options):
        return ArraySource(np.full((len(ra), size, size, 1), 2.5), survey.band_names)

    survey = Survey.from_dict({"image": "none", "bands": ["g"]})
    found = open_source(survey, np.zeros(4), np.zeros(4), size=5, source=source)
    assert found.read([3]).images.tolist() == np.full((1, 5, 5, 1), 2.5).tolist()
    with pytest.raises(ConfigError, match="no source of images"):
        open_source(survey, size=5, source=lambda *_, **__: "images")

    info = tmp_path / "site" / "constant-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: constant\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[astrocnn.sources]\nconstant = constant_leaf:source\n")
    (tmp_path / "site" / "constant_leaf.py").write_text(
        "import numpy as np\nfrom astrocnn.imaging import ArraySource\n"
        "def source(survey, *, ra, dec, columns, size):\n"
        "    return ArraySource(np.ones((len(ra), size, size, 1)), survey.band_names)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert "constant" in plugins.names("sources")
    survey = Survey.from_dict({"kind": "constant", "image": "none", "bands": ["g"]})
    assert open_source(survey, np.zeros(2), np.zeros(2), size=4).read([0]).images.sum() == 16


@pytest.mark.parametrize(
    ("survey", "options", "says"),
    [
        ({"crop": 5}, {}, "crop applies to stamps only"),
        ({}, {}, "needs RA and Dec"),
        ({"kind": "stamps"}, {}, "need columns of the catalogue"),
        ({}, {"size": 0}, "whole number of pixels"),
        ({}, {"size": 2.5}, "whole number of pixels"),
    ],
)
def test_refused_sources(survey, options, says):
    survey = Survey.from_dict({"image": "a.fits", "bands": ["g"], **survey})
    with pytest.raises(ConfigError, match=says):
        open_source(survey, **options)


def test_unknown_kind_names_the_known_ones():
    with pytest.raises(ConfigError, match="there is no image source 'tile'"):
        Survey.from_dict({"kind": "tile", "image": "a.fits", "bands": ["g"]})
