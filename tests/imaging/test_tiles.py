"""Many tiles: the deepest one, weights and masks, units, bounded memory."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from astrocnn.errors import ConfigError, ImageError
from astrocnn.flags import Flag
from astrocnn.imaging import Band, Source, Survey, TileSource, open_source
from astrocnn.imaging.cutouts import find_bad_pixels
from astrocnn.imaging.plane_cache import PlaneCache
from astrocnn.imaging.planes import find_plane
from astrocnn.imaging.sky_grid import SkyGrid
from astrocnn.imaging.tiles import assign_tiles, open_band


@given(seed=st.integers(0, 50), n_tiles=st.integers(1, 40))
def test_the_deepest_tile_equals_brute_force(make_wcs, seed, n_tiles):
    rng = np.random.default_rng(seed)
    grids = [
        SkyGrid(make_wcs(ra % 360, dec, angle=angle, scale=scale, shape=(50, 60)), (50, 60))
        for ra, dec, angle, scale in zip(
            rng.normal(0, 0.03, n_tiles),
            rng.normal(1, 0.03, n_tiles),
            rng.uniform(0, 360, n_tiles),
            rng.choice([0.5, 1.0, 3.0], n_tiles),
            strict=True,
        )
    ]
    ra, dec = rng.normal(0, 0.04, 60) % 360, rng.normal(1, 0.04, 60)
    depth = np.stack([g.edge_distance(*g.to_pixel(ra, dec)) * g.pixel_scale for g in grids], axis=1)
    depth[~(depth > -8)] = -np.inf
    expected = np.where(np.isfinite(depth).any(axis=1), depth.argmax(axis=1), -1)
    np.testing.assert_array_equal(assign_tiles(grids, ra, dec, 16.0), expected)


def test_overlapping_tiles_and_rows_in_any_order(tile, tmp_path):
    left, _ = tile(tmp_path / "a.fits", data=np.full((50, 60), 1.0, "f4"))
    tile(tmp_path / "b.fits", data=np.full((50, 60), 2.0, "f4"), ra=150 - 40 / 3600)
    # The tiles overlap in columns 40 to 60 of the first, whose middle is at 49.5.
    x = np.array([5.0, 42, 48, 52, 70, 95, 200])
    ra, dec = left.all_pix2world(x, np.full(7, 25.0), 0)
    source = TileSource(Survey("s", (Band("g", str(tmp_path / "?.fits")),)), ra, dec, 3)
    cut = source.read([6, 5, 4, 3, 2, 1, 0])
    assert cut.images[1:, 1, 1, 0].tolist() == [2, 2, 2, 1, 1, 1]
    assert cut.flags[0] == Flag.NO_COVERAGE | Flag.BAND_MISSING and not cut.flags[1:].any()
    visited = source.assigned[0][source.order()]
    assert visited.tolist() == [0, 0, 0, 1, 1, 1, -1]


def test_masks_weights_noise_and_sentinels(tile, tmp_path):
    wcs, data = tile(tmp_path / "i.fits", data=np.full((50, 60), 7.0, "f4"))
    weight, rms = np.ones((50, 60), "f4"), np.ones((50, 60), "f4")
    mask = np.zeros((50, 60), "i4")
    weight[24, 29], weight[24, 30] = 0, np.nan
    rms[25, 29], rms[25, 30], rms[25, 31] = 1e16, np.nan, 0
    mask[26, 29:32] = [1, 3, 4]
    data = data.copy()
    data[27, 29] = -3.4e38
    for name, plane in (("w", weight), ("r", rms), ("m", mask), ("d", data)):
        fits.PrimaryHDU(plane).writeto(tmp_path / f"{name}.fits")
    fits.PrimaryHDU(data, wcs.to_header()).writeto(tmp_path / "i.fits", overwrite=True)
    paths = {k: str(tmp_path / f"{k}.fits") for k in "iwrm"}
    ra, dec = wcs.all_pix2world([30.0], [26.0], 0)

    def holes(**options) -> set[tuple[int, int]]:
        band = Band("g", paths["i"], **options)
        cut = TileSource(Survey("s", (band,)), ra, dec, 5).read([0])
        y, x = np.nonzero(np.isnan(cut.images[0, :, :, 0]))
        assert bool(cut.flags[0] & Flag.NO_DATA_PIXELS) == bool(len(y))
        return {(a + 24, b + 28) for a, b in zip(y.tolist(), x.tolist(), strict=True)}

    assert holes() == set()
    assert holes(weight=paths["w"]) == {(24, 29), (24, 30)}
    assert holes(rms=paths["r"]) == {(25, 29), (25, 30), (25, 31)}
    assert holes(mask=paths["m"]) == {(26, 29), (26, 30), (26, 31)}
    assert holes(mask=paths["m"], bad_bits=2) == {(26, 30)}
    assert holes(mask=paths["m"], bad_bits=1) == {(26, 29), (26, 30)}
    assert holes(mask=paths["m"], bad_values=(3,)) == {(26, 30)}
    assert holes(mask=paths["m"], bad_bits=4, bad_values=(1,)) == {(26, 29), (26, 31)}
    assert holes(valid_range=(-1e30, 1e30)) == {(27, 29)}


def test_a_band_without_data_is_missing_not_zero(tile, tmp_path):
    wcs, _ = tile(tmp_path / "g.fits")
    tile(tmp_path / "r.fits", data=np.full((50, 60), np.nan, "f4"))
    tile(tmp_path / "i.fits", ra=10.0)
    survey = Survey.from_dict({"image": "{band}.fits", "bands": ["g", "r", "i"]}, tmp_path)
    cut = open_source(survey, *wcs.all_pix2world([30.0], [25.0], 0), size=6).read([0])
    assert cut.no_data.tolist() == [[0, 1, 1]]
    assert np.isnan(cut.images[..., 1:]).all() and np.isfinite(cut.images[..., 0]).all()
    assert cut.flags[0] == Flag.BAND_MISSING | Flag.NO_DATA_PIXELS


def test_zero_points_bring_tiles_to_one_unit(tile, tmp_path):
    wcs, data = tile(tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits", mode="update") as hdus:
        hdus[0].header["MAGZERO"] = 28.9
    survey = Survey(
        "s",
        (
            Band("g", str(tmp_path / "a.fits"), zero_point="MAGZERO"),
            Band("r", str(tmp_path / "a.fits"), zero_point=31.4),
        ),
    )
    source = TileSource(survey, *wcs.all_pix2world([30.0], [25.0], 0), size=5)
    images = source.read([0]).images[0]
    assert source.unit == "nJy"
    np.testing.assert_allclose(images[..., 0], 10 * data[23:28, 28:33], rtol=1e-5)
    np.testing.assert_allclose(images[..., 1], data[23:28, 28:33], rtol=1e-5)
    missing = Survey("s", (Band("g", str(tmp_path / "a.fits"), zero_point="PHOTZP"),))
    with pytest.raises(ImageError, match="should be in card PHOTZP"):
        TileSource(missing, [1.0], [1.0])


def test_planes_that_do_not_fit(tile, tmp_path):
    tile(tmp_path / "a.fits")
    tile(tmp_path / "b.fits", shape=(50, 61))
    a, b = str(tmp_path / "a.fits"), str(tmp_path / "b.fits")
    with pytest.raises(ImageError, match="another size"):
        TileSource(Survey("s", (Band("g", a, weight=b),)), [1.0], [1.0])
    with pytest.raises(ImageError, match="1 images and 2 files of weight"):
        TileSource(Survey("s", (Band("g", a, weight=(a, b)),)), [1.0], [1.0])
    with pytest.raises(ConfigError, match="needs RA and Dec"):
        open_source(Survey("s", (Band("g", a),)))
    tile(tmp_path / "c.fits", ra=150.1)
    with pytest.raises(ImageError, match=r"(?s)No weight file .* pixel grid of .*a.fits.*c.fits"):
        TileSource(Survey("s", (Band("g", a, weight=str(tmp_path / "c.fits")),)), [1.0], [1.0])


@pytest.mark.parametrize("coordinates", [True, False])
def test_weights_are_paired_by_their_place_on_the_sky(tile, tmp_path, coordinates):
    numbers = (1, 2, 10)  # sorted by name: img_1, img_10, img_2, but wht.1, wht.10, wht.2
    for k in numbers:
        wcs, _ = tile(tmp_path / f"img_{k}.fits", k, ra=150 + k / 60)
        name = tmp_path / f"{'zyx'[numbers.index(k)] if coordinates else 'w'}.{k:03d}.wht"
        header = wcs.to_header(relax=True) if coordinates else None
        fits.PrimaryHDU(np.full((50, 60), (k != 10), np.int16), header).writeto(name)
    band = Band("g", str(tmp_path / "img_*.fits"), weight=str(tmp_path / "*.wht"))
    ra = [150 + k / 60 for k in numbers]
    found = TileSource(Survey("s", (band,)), ra, [2.0] * 3, size=8).read([0, 1, 2])
    assert np.isnan(found.images[2]).all() and np.isfinite(found.images[:2]).all()


def test_several_planes_on_one_grid_are_told_apart_by_the_numbers_in_their_names(tile, tmp_path):
    for k in (1, 2):
        tile(tmp_path / f"visit{k}_sci.fits", k)
        tile(tmp_path / f"{'ba'[k - 1]}{k}_rms.fits", data=np.full((50, 60), 10.0**k))
    files = {"image": str(tmp_path / "visit*"), "rms": str(tmp_path / "*_rms.fits")}
    planes = open_band(Band("g", **files)).planes
    assert [p.path.name for p in planes["image"]] == ["visit1_sci.fits", "visit2_sci.fits"]
    assert [p.path.name for p in planes["rms"]] == ["b1_rms.fits", "a2_rms.fits"]
    for k in (1, 2):
        (tmp_path / f"{'ba'[k - 1]}{k}_rms.fits").rename(tmp_path / f"{'ba'[k - 1]}_rms.fits")
    with pytest.raises(ImageError, match=r"(?s)Several rms files .* fit the image .*visit1"):
        open_band(Band("g", **files))


@pytest.mark.parametrize(
    ("dtype", "bits", "bad"),
    [
        (np.int16, 0x8000, [-32768, -1]),
        (np.int32, 1 << 31, [-(1 << 31), -1]),
        (np.uint8, 0xFFFF, [1, 128, 255]),
        (np.int64, 0b101, [1, 4, 5, 7, -1]),
    ],
)
def test_every_bit_of_a_mask_can_be_bad(dtype, bits, bad):
    values = np.array([*bad, 0], dtype)
    found = find_bad_pixels("mask", values, Band("g", "x", bad_bits=bits))
    assert found.tolist() == [True] * len(bad) + [False]


def test_the_card_of_a_zero_point_is_suggested(make_wcs, tmp_path):
    header = make_wcs().to_header()
    for cards, hint in (({"MAGZERO": 24.6}, "the header has MAGZERO = 24.6"), ({}, "as a number")):
        header.update(cards)
        fits.writeto(tmp_path / "t.fits", np.ones((50, 50), "f4"), header, overwrite=True)
        survey = Survey("s", (Band("g", str(tmp_path / "t.fits"), zero_point="MAGZER"),))
        with pytest.raises(ImageError, match="should be in card MAGZER") as caught:
            TileSource(survey, [150], [2], 8)
        assert hint in str(caught.value.hint)
        header.pop("MAGZERO", None)


def test_weight_noise_and_variance_have_the_same_pixels_without_data():
    variance = np.array([1.0, 1e-20, 1e29, 1e30, 0.0, -1.0, np.inf, np.nan], np.float32)
    bad = find_bad_pixels("variance", variance, Band("g", "x"))
    assert bad.tolist() == [False] * 3 + [True] * 5
    with np.errstate(invalid="ignore", divide="ignore"):
        others = {"rms": np.sqrt(variance[:-3]), "weight": 1 / variance[[0, 1, 2, -1]]}
    assert find_bad_pixels("rms", others["rms"], Band("g", "x")).tolist() == bad[:-3].tolist()
    assert find_bad_pixels("weight", others["weight"], Band("g", "x")).tolist() == [False] * 3 + [
        True
    ]


@pytest.mark.parametrize(
    ("data", "blank"),
    [
        (np.arange(60 * 50, dtype=np.uint16) + 40000, None),
        (np.arange(60 * 50, dtype=np.uint32) + 3_000_000_000, None),
        (np.arange(60 * 50, dtype=np.int16), 7),
        (np.arange(60 * 50, dtype=np.int32), 9),
    ],
)
def test_compressed_tiles_of_all_integers(data, blank, make_wcs, tmp_path):
    data = data.reshape(50, 60)
    hdu = fits.CompImageHDU(data, make_wcs().to_header())
    if blank is not None:
        hdu.header["BLANK"] = blank
    hdu.writeto(tmp_path / "t.fits.fz")
    source = TileSource(Survey("s", (Band("g", str(tmp_path / "t.fits.fz")),)), [150], [2], 8)
    expected = data[21:29, 26:34].astype(np.float32)
    if blank is not None:
        expected[expected == blank] = np.nan
    np.testing.assert_array_equal(source.read([0]).images[0, ..., 0], expected)


def test_one_byte_beyond_ascii_spoils_one_card_only(tile, tmp_path):
    _, data = tile(tmp_path / "t.fits")
    fits.setval(tmp_path / "t.fits", "OBSERVER", value="Mechain")
    raw = (tmp_path / "t.fits").read_bytes()
    (tmp_path / "t.fits").write_bytes(raw.replace(b"Mechain", b"M\xe9chain"))
    source = TileSource(Survey("s", (Band("g", str(tmp_path / "t.fits")),)), [150], [2], 8)
    np.testing.assert_array_equal(source.read([0]).images[0, ..., 0], data[21:29, 26:34])


def test_compressed_tiles_are_decoded_once_and_memory_is_bounded(tile, tmp_path, monkeypatch):
    wcs, data = tile(tmp_path / "plain.fits")
    bands = ["g", "r", "i"]
    for band in bands:
        hdu = fits.CompImageHDU((data * 1000).astype("i4"), wcs.to_header())
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / f"{band}.fits.fz")
    survey = Survey.from_dict({"image": "{band}.fits.fz", "bands": bands}, tmp_path)
    rng = np.random.default_rng(0)
    ra, dec = wcs.all_pix2world(*rng.uniform(5, 40, (2, 100)), 0)
    plane = find_plane(tmp_path / "g.fits.fz")
    decoded = []
    original = type(plane).load
    monkeypatch.setattr(
        type(plane), "load", lambda self: (decoded.append(self.path), original(self))[1]
    )
    roomy = TileSource(survey, ra, dec, 8, workers=2)
    images = roomy.read(range(100)).images
    roomy.read(range(50))
    assert len(decoded) == 3
    tight = TileSource(survey, ra, dec, 8, workers=2, cache_bytes=plane.decoded_bytes + 1)
    np.testing.assert_array_equal(tight.read(range(100)).images, images)
    assert len(decoded) == 6
    cache = PlaneCache(max_bytes=plane.decoded_bytes + 1)
    for band in bands:
        cache.get(find_plane(tmp_path / f"{band}.fits.fz"), [])
    assert len(cache._planes) == 1


def test_threads_do_not_share_a_decoder(tmp_path, make_wcs):
    # CFITSIO keeps the state of HCOMPRESS in global variables.
    rng, header = np.random.default_rng(0), make_wcs(shape=(120, 120)).to_header()
    files = []
    for k in range(2):
        files.append(tmp_path / f"{k}.fits")
        data = rng.normal(0, 1, (120, 120)).astype(np.float32)
        options = {"compression_type": "HCOMPRESS_1", "tile_shape": (60, 60)}
        fits.CompImageHDU(data, header, **options).writeto(files[-1])
    planes = [find_plane(path) for path in files]
    alone = [plane.load() for plane in planes]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(2) as pool:
            for k, array in enumerate(pool.map(lambda k: planes[k % 2].load(), range(60))):
                np.testing.assert_array_equal(array, alone[k % 2])
    finally:
        sys.setswitchinterval(interval)


def test_hundreds_of_tiles_do_not_exhaust_file_handles(tmp_path, tile, few_handles):
    few_handles(200)
    for i in range(300):
        tile(tmp_path / f"t{i:03d}.fits", data=np.full((4, 4), i, "f4"), ra=i / 100)
    ra = np.arange(300) / 100
    source = TileSource(
        Survey("s", (Band("g", str(tmp_path / "t*.fits")),)), ra, np.full(300, 2.0), 2
    )
    np.testing.assert_array_equal(source.read(range(300)).images[:, 0, 0, 0], np.arange(300))


def test_results_do_not_depend_on_threads_or_chunks(tile, tmp_path):
    wcs, _ = tile(tmp_path / "g.fits")
    tile(tmp_path / "w.fits", scale=1.7, angle=30, seed=4)
    survey = Survey.from_dict({"image": "{band}.fits", "bands": ["g", "w"]}, tmp_path)
    ra, dec = wcs.all_pix2world(*np.random.default_rng(0).uniform(-9, 65, (2, 90)), 0)
    whole = TileSource(survey, ra, dec, 10, workers=1).read(range(90))
    source = TileSource(survey, ra, dec, 10, workers=3)
    assert isinstance(source, Source) and len(source) == 90
    for start in range(0, 90, 7):
        rows = np.arange(start, min(start + 7, 90))[::-1]
        part = source.read(rows)
        np.testing.assert_array_equal(part.images, whole.images[rows])
        np.testing.assert_array_equal(part.flags, whole.flags[rows])
    reused = np.ones((3, 10, 10, 2), np.float32)
    assert source.read([5, 3, 4], out=reused).images is reused
    np.testing.assert_array_equal(reused, whole.images[[5, 3, 4]])
    with pytest.raises(ImageError, match="contiguous float32"):
        source.read([1], out=reused)
    assert source.read([]).images.shape == (0, 10, 10, 2)


def test_a_flux_is_no_zero_point(make_wcs, tmp_path):
    header = make_wcs().to_header()
    header["FLUXMAG0"] = 6.3e10
    fits.writeto(tmp_path / "t.fits", np.ones((50, 60), np.float32), header)
    band = Band("g", str(tmp_path / "t.fits"), zero_point="FLUXMAG0")
    with pytest.raises(ImageError, match=r"(?s)FLUXMAG0 of .* is no magnitude.*63000000000"):
        TileSource(Survey("s", (band,)), [150.0], [2.0])


@pytest.mark.parametrize(
    "files",
    [
        {"hdu": "*"},
        {"hdu": "ccd*"},
        {"hdu": ["CCD.0", "CCD.1", 3]},
        {"image": "m.fits[CCD*]"},
        {"image": tuple(f"m.fits[CCD.{k}]" for k in range(3))},
    ],
)
def test_all_detectors_of_a_mosaic(make_wcs, tmp_path, files):
    hdus, centers = [fits.PrimaryHDU()], 150 + np.arange(3) / 30
    for k, ra in enumerate(centers):
        data = np.full((50, 60), k + 1, np.float32)
        hdus.append(fits.ImageHDU(data, make_wcs(ra=ra).to_header(), name=f"CCD.{k}"))
    fits.HDUList(hdus).writeto(tmp_path / "m.fits")
    survey = Survey.from_dict({"image": "m.fits", "bands": ["g"], **files}, tmp_path)
    found = open_source(survey, centers, [2.0] * 3, size=8).read([0, 1, 2])
    assert found.images[:, 4, 4, 0].tolist() == [1, 2, 3]
    with pytest.raises(ImageError, match=r"no image with a name like 'N\*'"):
        open_source(Survey.from_dict({"image": "m.fits[N*]", "bands": ["g"]}, tmp_path), [0], [0])


def test_extension_names_that_are_no_words_and_folders_in_brackets(make_wcs, tmp_path):
    folder = tmp_path / "field[1]"
    folder.mkdir()
    for name in ("F814W+F606W", "SCI.2"):
        hdu = fits.ImageHDU(np.full((50, 60), len(name), "f4"), make_wcs().to_header(), name=name)
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(folder / f"t_{len(name)}.fits")
        for image in (f"t_{len(name)}.fits[{name}]", f"t_{len(name)}*.fits[{name}]"):
            survey = Survey.from_dict({"image": image, "bands": ["g"]}, folder)
            found = open_source(survey, [150.0], [2.0], size=4).read([0])
            assert (found.images == len(name)).all()
