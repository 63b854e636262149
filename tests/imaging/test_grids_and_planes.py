"""Grids by closed forms, the plane cache, and the bytes of windows against numpy."""

from __future__ import annotations

import io
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.wcs import WCS
from hypothesis import example, given, settings
from hypothesis import strategies as st

from astrocnn.errors import CatalogError, ImageError
from astrocnn.flags import Flag
from astrocnn.imaging import Survey, array_files, remote_planes, resampling
from astrocnn.imaging.array_files import ArrayFileSource
from astrocnn.imaging.cutout_wcs import build_tangent_wcs, build_window_wcs
from astrocnn.imaging.plane_cache import PlaneCache
from astrocnn.imaging.resampling import GridMap, compute_nodes, resample, resize
from astrocnn.imaging.sky_grid import SkyGrid


@settings(max_examples=25)
@given(st.integers(2, 24), st.integers(1, 40), st.integers(0, 99))
def test_resizing_against_numpy(side, size, seed):
    image = np.random.default_rng(seed).normal(size=(side, side))
    result = resize(image, size)
    np.testing.assert_allclose(resampling._weights(side, size).sum(axis=1), 1)
    if size <= side:
        # The mean over areas keeps the mean of all.
        np.testing.assert_allclose(result.mean(), image.mean(), atol=1e-12)
    else:
        at = (np.arange(size) + 0.5) * side / size - 0.5
        across = np.array([np.interp(at, np.arange(side), row) for row in image])
        expected = np.array([np.interp(at, np.arange(side), column) for column in across.T]).T
        np.testing.assert_allclose(result, expected, atol=1e-12)
    for turn in (np.flipud, np.fliplr, np.transpose):
        np.testing.assert_allclose(resize(turn(image), size), turn(result), atol=1e-12)


@settings(max_examples=20)
@given(st.integers(2, 40), st.integers(0, 4), st.floats(-0.5, 1.5))
def test_polynomials_of_four_degrees_are_exact(size, degree, at):
    nodes, offsets = resampling._chebyshev(size), np.array([at * size])
    scaled = nodes / size
    basis = resampling._lagrange(size, offsets)
    slope = resampling._lagrange(size, offsets, derivative=True)
    np.testing.assert_allclose(basis.sum(), 1, atol=1e-9)
    np.testing.assert_allclose(basis @ scaled**degree, at**degree, atol=1e-8)
    derivative = degree * at ** max(degree - 1, 0) / size
    np.testing.assert_allclose(slope @ scaled**degree, derivative, atol=1e-8)


@settings(max_examples=15)
@example(0.9625, 0.0, False, 60)
@given(st.floats(0.5, 1.8), st.floats(0, 360), st.booleans(), st.sampled_from([9, 60]))
def test_linear_maps_have_their_area_and_keep_flux(scale, angle, mirrored, size):
    c, s = scale * np.cos(np.radians(angle)), scale * np.sin(np.radians(angle))
    dx, dy = compute_nodes(size)
    sign, middle = (-1 if mirrored else 1), (size - 1) / 2
    x = 100 + sign * (c * (dx - middle) - s * (dy - middle))
    y = 100 + s * (dx - middle) + c * (dy - middle)
    bad = np.where(np.arange(25) == 3, np.nan, x)
    grid = GridMap(size, np.stack([x, bad]), np.stack([y, y]))
    assert grid.ok.tolist() == [True, False] and grid.ratio == pytest.approx(scale)
    np.testing.assert_allclose(grid.area_ratio()[0], scale**2, rtol=1e-9)
    x0, y0, side = grid[:1].bounds()
    px, py = grid[:1].at(np.arange(size, dtype=float))
    assert (px > x0 + 2).all() and (px < x0 + side - 3).all()
    assert (py > y0 + 2).all() and (py < y0 + side - 3).all()
    # A source that is wide beside the pixels of both grids and narrow beside the cutout.
    sigma = 4 * max(scale, 1)
    yy, xx = np.mgrid[:200, :200] - 100
    window = np.exp(-(xx**2 + yy**2) / 2 / sigma**2) / (2 * np.pi * sigma**2)
    zero = np.zeros(2, int)
    values = resample(np.stack([window] * 2), zero, zero, grid)
    assert np.isnan(values[1]).all()
    if size == 60:
        # A windowed sinc is not exact for curvature, in proportion to 1 / sigma^2.  The errors of
        # neighbors do not average out at scales near 1: at most 0.0054, at 0.9625 along the axes.
        assert values[0].sum() == pytest.approx(1, abs=6e-3)


@pytest.mark.parametrize("form", ["CD", "PC", "CROTA"])
def test_the_pixels_of_a_window_are_those_of_the_image(form):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [359.99, -45], [9, 70]
    if form == "CD":
        wcs.wcs.cd = np.array([[-3.0, 1], [1.5, 2]]) / 3600
    else:
        wcs.wcs.cdelt = np.array([-2.0, 3.0]) / 3600
    if form == "PC":
        wcs.wcs.pc = [[0.8, -0.6], [0.6, 0.8]]
    elif form == "CROTA":
        wcs.wcs.crota = [0, 30]
    wcs.wcs.set()
    before = wcs.to_header_string()
    x, y = (v.ravel() for v in np.mgrid[:12, :12])
    for x0, y0, step in ((0, 0, 1.0), (-5, 40, 1.0), (17, 3, 2.0), (8, -9, 2.5)):
        window = build_window_wcs(SkyGrid(wcs, (100, 100)), x0, y0, 12, step)
        assert window.array_shape == (12, 12)
        ours = window.all_pix2world(x, y, 0)
        theirs = wcs.all_pix2world(x0 + (x + 0.5) * step - 0.5, y0 + (y + 0.5) * step - 0.5, 0)
        np.testing.assert_allclose(ours, theirs, atol=1e-9)
    assert wcs.to_header_string() == before


@settings(max_examples=15)
@given(st.floats(0, 360), st.floats(-85, 85), st.integers(2, 64), st.floats(-3, 3))
def test_a_tangent_plane_touches_the_middle(ra, dec, size, shear):
    matrix = np.array([[-0.5, shear], [0.1, 0.4 + abs(shear)]])
    wcs = build_tangent_wcs(matrix, ra, dec, size)
    middle = (size - 1) / 2
    found = np.array(wcs.all_pix2world(middle, middle, 0)).ravel()
    offset = (found - [ra, dec] + 180) % 360 - 180
    np.testing.assert_allclose(offset, 0, atol=1e-9)
    for axis in range(2):
        at = [middle, middle]
        at[axis] += 1
        moved = np.array(wcs.all_pix2world(*at, 0)).ravel()
        east, north = (moved - [ra, dec] + 180) % 360 - 180
        np.testing.assert_allclose(
            [east * np.cos(np.radians(dec)) * 3600, north * 3600], matrix[:, axis], atol=2e-3
        )


def fake_plane(name, n_bytes=100, loads=None, wait=None):
    def load():
        if wait is not None:
            wait.wait(5)
        loads.append(name)
        return np.full((2, 2), float(ord(name)))

    return SimpleNamespace(
        path=name,
        unit=SimpleNamespace(index=0),
        take=(),
        whole=True,
        load=load,
        decoded_bytes=n_bytes,
        validate_length=lambda: loads.append(name.upper()),
    )


def test_the_least_recently_used_plane_goes_first():
    loads: list[str] = []
    a, b, c, d = (fake_plane(name, loads=loads) for name in "abcd")
    cache = PlaneCache(max_planes=2)
    for plane in (a, b, a, c, a, b):
        assert cache.get(plane, [])[0, 0] == ord(plane.path)
    # Capital: found in the cache, and its file looked at.
    assert loads == list("abAcAb")
    loads.clear()
    cache = PlaneCache(max_bytes=250)
    for plane in (a, b, c, a, c, fake_plane("z", 999, loads), d):
        cache.get(plane, [])
    assert loads == list("abcaCzd") and len(cache._planes) == 1


def test_a_plane_is_loaded_by_one_thread():
    loads: list[str] = []
    start = threading.Event()
    plane, cache, found = fake_plane("a", loads=loads, wait=start), PlaneCache(), []
    threads = [
        threading.Thread(target=lambda: found.append(cache.get(plane, []))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    start.set()
    for thread in threads:
        thread.join()
    assert loads.count("a") == 1 and all(one is found[0] for one in found) and len(found) == 4


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_the_bytes_of_windows_are_where_numpy_has_them(seed):
    rng = np.random.default_rng(seed)
    shape, bits = tuple(rng.integers(1, 9, 3).tolist()), int(rng.choice([8, 16, -32, -64]))
    fixed = int(rng.integers(0, 3))
    take = tuple(
        int(rng.integers(0, n)) if k == fixed else slice(None) for k, n in enumerate(shape)
    )
    data = np.arange(np.prod(shape)).reshape(shape)
    plane_pixels = data[tuple(take)]
    sides = rng.integers(1, 5, 2)
    windows = [(rng.integers(-6, 10, 3), rng.integers(-6, 10, 3), int(side)) for side in sides]
    boxes = remote_planes._clip(windows, plane_pixels.shape)
    wanted = {
        int(plane_pixels[y, x])
        for x0, y0, x1, y1 in boxes.tolist()
        for y in range(y0, y1)
        for x in range(x0, x1)
    }
    expected = set()
    for xs, ys, side in windows:
        for x0, y0 in zip(xs.tolist(), ys.tolist(), strict=True):
            part = plane_pixels[max(y0, 0) : max(y0 + side, 0), max(x0, 0) : max(x0 + side, 0)]
            expected |= set(part.ravel().tolist())
    assert wanted == expected
    unit = SimpleNamespace(bitpix=bits, shape=shape, start=2880)
    item = abs(bits) // 8
    if not len(boxes):
        return
    ranges = remote_planes._find_bytes(SimpleNamespace(unit=unit, take=take), boxes)
    covered = {b for low, high in ranges.tolist() for b in range(low, high)}
    needed = {2880 + item * k + b for k in wanted for b in range(item)}
    assert needed <= covered and min(covered) == min(needed) and max(covered) == max(needed)
    # Pixels of a line that follow each other are one range, and nothing more is read.
    assert fixed == 2 or covered == needed


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"TFORM1": "1PB(77)"}, [(0, ">i4", 1)]),
        ({"TFORM1": "1QI(9)"}, [(0, ">i8", 2)]),
        ({"TFORM1": "PE", "TFORM2": "D", "TFORM3": "2QJ"}, [(0, ">i4", 4), (16, ">i8", 4)]),
        ({"TFORM1": "9X", "TFORM2": "0PB", "TFORM3": "3A", "TFORM4": "1PK"}, [(5, ">i4", 8)]),
        ({"TFORM1": "1D"}, None),
        ({"TFORM1": "??"}, None),
        ({"TFORM1": "1PB", "NAXIS1": 7}, None),
    ],
)
def test_columns_of_the_heap(cards, expected):
    fields = sum(key.startswith("TFORM") for key in cards)
    values = {"NAXIS1": 100, "TFIELDS": fields, **cards}
    unit = SimpleNamespace(value=values.get)
    if expected is None:
        with pytest.raises(ValueError, match="TF"):
            remote_planes._find_descriptors(unit)
    else:
        assert remote_planes._find_descriptors(unit) == expected


def test_a_buffer_is_read_as_a_stream():
    data = np.arange(200, dtype=np.uint8).tobytes()
    ours, plain = remote_planes._Reader(data), io.BytesIO(data)
    for offset, whence, n in ((5, 0, 10), (20, 1, 7), (-30, 2, 99), (500, 0, 3), (0, 0, -1)):
        assert ours.seek(offset, whence) == plain.seek(offset, whence)
        assert ours.read(n) == plain.read(n) and ours.tell() == plain.tell()


PIXELS = np.random.default_rng(0).normal(size=(10, 6, 6)).astype(np.float32)


def open_arrays(tmp_path, columns, options=None, size=6, arrays=(PIXELS[:4], PIXELS[4:])):
    for k in range(len(arrays)):
        (tmp_path / f"p{k}.npy").write_bytes(b"")
    mapping = {"kind": "npy", "image": str(tmp_path / "p*.npy"), "bands": ["r"]}
    survey = Survey.from_dict({**mapping, "options": options or {}})
    opened = {f"p{k}.npy": array for k, array in enumerate(arrays)}
    return ArrayFileSource(survey, columns, size, lambda path, name: opened[path.name])


def test_places_in_arrays(tmp_path, monkeypatch):
    places = np.ma.array([9, 3, 3, -1, 10, 0, 5], mask=[0, 0, 0, 0, 0, 0, 1])
    source = open_arrays(tmp_path, {"place": places}, {"row": "place"})
    cutouts = source.read(np.arange(7))
    np.testing.assert_array_equal(cutouts.images[[0, 1, 2, 5], ..., 0], PIXELS[[9, 3, 3, 0]])
    missing = (cutouts.flags & Flag.FILE_MISSING) != 0
    assert missing.tolist() == [False, False, False, True, True, False, True]
    assert np.isnan(cutouts.images[missing]).all() and (cutouts.no_data == missing[:, None]).all()
    assert np.asarray(source.order())[-4:].tolist() == [5, 1, 2, 0]
    # One image at a time, in any order.
    monkeypatch.setattr(array_files, "BLOCK_BYTES", 1)
    order = np.array([5, 2, 3, 0])
    single = open_arrays(tmp_path, {"place": places}, {"row": "place"}).read(order)
    np.testing.assert_array_equal(single.images, cutouts.images[order])


def test_arrays_that_do_not_fit_together(tmp_path):
    columns = {"id": np.arange(10)}
    assert len(open_arrays(tmp_path, columns)) == len(open_arrays(tmp_path, {})) == 10
    with pytest.raises(CatalogError, match="different lengths"):
        open_arrays(tmp_path, {**columns, "ra": np.zeros(9)})
    with pytest.raises(ImageError, match="differ in size") as caught:
        open_arrays(tmp_path, columns, arrays=(PIXELS, PIXELS[:, :5]))
    assert "(5, 6)" in str(caught.value)
    for array in (PIXELS[0], PIXELS.astype(complex), PIXELS[:, :0]):
        with pytest.raises(ImageError, match="holds no images"):
            open_arrays(tmp_path, columns, arrays=(array, PIXELS))
    texts = array_files._as_text(np.array([b"a\xff", "b", 3], object)).tolist()
    assert texts == ["a\ufffd", "b", "3"]
    assert array_files._as_text(np.array([2**62 + 1])).tolist() == [str(2**62 + 1)]
