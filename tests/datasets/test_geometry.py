"""Augmentation that moves pixels: exact where it can be, and kind to holes."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from astrocnn.datasets import D4, Rotation, Shift, Zoom
from astrocnn.datasets.augmentations._affine import Affine, Moves, chain, resample
from astrocnn.datasets.symmetry import get_d4_views
from astrocnn.errors import ConfigError, InputsError

SEED = tf.constant([3, 4], tf.int32)


def blob(n: int = 4, size: int = 33, bands: int = 2, sigma: float = 3.0) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    image = np.exp(-(x**2 + (y / 1.5) ** 2) / (2 * sigma**2))
    return np.repeat(np.repeat(image[None, ..., None], n, 0), bands, -1).astype(np.float32)


def moved(images: np.ndarray, matrix=((1.0, 0.0), (0.0, 1.0)), offset=(0.0, 0.0), **options):
    n = len(images)
    placement = (
        tf.constant(np.repeat(np.array([matrix], np.float32), n, 0)),
        tf.constant(np.repeat(np.array([offset], np.float32), n, 0)),
    )
    return resample(tf.constant(images), placement, **options).numpy()


def turn(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s], [s, c]], np.float32)


def test_d4_gives_all_eight_elements_equally_often() -> None:
    image = np.random.default_rng(0).normal(size=(1, 5, 5, 3)).astype(np.float32)
    image[0, 1, 2, 0] = np.nan
    n = 4000
    out = D4()(tf.constant(np.repeat(image, n, 0)), SEED).numpy()
    views = [v[0] for v in get_d4_views(image)]
    which = [[np.array_equal(o, v, equal_nan=True) for v in views].index(True) for o in out]
    counts = np.bincount(which, minlength=8)
    assert ((counts - n / 8) ** 2 / (n / 8)).sum() < 24.3  # chi-square, 7 degrees, p = 0.001
    turns = D4(reflections=False)(tf.constant(np.repeat(image, n, 0)), SEED).numpy()
    which = [[np.array_equal(o, v, equal_nan=True) for v in views].index(True) for o in turns]
    counts = np.bincount(which, minlength=8)
    assert (counts[4:] == 0).all() and ((counts[:4] - 1000) ** 2 / 1000).sum() < 16.3
    assert D4().breaks == {"handedness"} and D4(reflections=False).breaks == frozenset()


def test_d4_takes_square_images_and_any_batch() -> None:
    with pytest.raises(InputsError, match="square"):
        D4()(tf.zeros((2, 4, 5, 1)), SEED)
    graph = tf.function(
        D4(), input_signature=[tf.TensorSpec((None, 6, 6, 2)), tf.TensorSpec((2,), tf.int32)]
    )
    assert graph(tf.zeros((3, 6, 6, 2)), SEED).shape == (3, 6, 6, 2)
    assert graph(tf.zeros((0, 6, 6, 2)), SEED).shape == (0, 6, 6, 2)


def test_nothing_moves_under_the_identity() -> None:
    images = np.random.default_rng(1).normal(size=(2, 9, 9, 3)).astype(np.float32)
    images[0, 4, 4] = np.nan
    for edges in ("reflect", "missing"):
        np.testing.assert_array_equal(moved(images, edges=edges), images)


@pytest.mark.parametrize("offset", [(1.0, 0.0), (0.0, -2.0), (0.5, 0.0), (-0.3, 0.8)])
def test_shifts_are_bilinear_and_keep_flux_and_sign(offset: tuple[float, float]) -> None:
    images = blob(sigma=2.0) * np.array([1.0, -1.0], np.float32)
    out = moved(images, offset=offset)
    want = np.stack(
        [ndimage.shift(images[0, ..., b], (-offset[1], -offset[0]), order=1) for b in range(2)], -1
    )
    np.testing.assert_allclose(out[0, 5:-5, 5:-5], want[5:-5, 5:-5], atol=1e-6)
    np.testing.assert_allclose(out.sum((1, 2)), images.sum((1, 2)), rtol=1e-4)
    y, x = np.mgrid[:33, :33] - 16
    center = [(out[0, ..., 0] * axis).sum() / out[0, ..., 0].sum() for axis in (x, y)]
    np.testing.assert_allclose(center, [-offset[0], -offset[1]], atol=1e-3)


def test_a_quarter_turn_is_that_of_d4_and_an_odd_angle_that_of_scipy() -> None:
    images = np.random.default_rng(2).normal(size=(1, 8, 8, 2)).astype(np.float32)
    quarter = moved(images, turn(90))
    np.testing.assert_allclose(quarter[0], np.rot90(images[0], 1), atol=1e-5)
    smooth = blob(1)
    out = moved(smooth, turn(30))
    want = ndimage.rotate(smooth[0], 30, order=1, reshape=False)
    np.testing.assert_allclose(out[0, 6:-6, 6:-6], want[6:-6, 6:-6], atol=1e-5)


def test_zoom_keeps_the_surface_brightness() -> None:
    images = blob(sigma=2.5)
    out = moved(images, np.eye(2) / 1.3)
    assert out.max() == pytest.approx(images.max(), rel=1e-3)
    np.testing.assert_allclose(out.sum() / images.sum(), 1.3**2, rtol=5e-3)


def test_a_chain_equals_one_after_the_other() -> None:
    images = blob(3)
    eye, none = np.eye(2, dtype=np.float32), np.zeros(2, np.float32)

    def pair(matrix, offset):
        return tf.constant(np.repeat(matrix[None], 3, 0)), tf.constant(
            np.repeat(offset[None], 3, 0)
        )

    shift, rotation = pair(eye, np.array([2.0, -1.0], np.float32)), pair(turn(90), none)
    both = resample(tf.constant(images), chain(shift, rotation)).numpy()
    apart = resample(resample(tf.constant(images), shift), rotation).numpy()
    np.testing.assert_allclose(both, apart, atol=1e-5)
    other = resample(tf.constant(images), chain(rotation, shift)).numpy()
    assert np.abs(other - apart).max() > 0.1


@pytest.mark.parametrize("edges", ["reflect", "missing"])
def test_a_hole_keeps_its_size_and_does_not_spread(edges: str) -> None:
    images = np.full((2, 41, 41, 2), 5.0, np.float32)
    images[0, 15:23, 18:24, 0] = np.nan
    images[1, ..., 1] = np.nan
    for degrees, offset in ((0.0, (0.5, 0.3)), (37.0, (0.2, 0.0)), (200.0, (0.0, 0.0))):
        out = moved(images, turn(degrees), offset, edges=edges)
        middle = out[:, 8:-8, 8:-8]
        missing = np.isnan(middle)
        assert 48 * 0.8 <= missing[0, ..., 0].sum() <= 48 * 1.2
        assert not missing[0, ..., 1].any() and not missing[1, ..., 0].any()
        assert missing[1, ..., 1].all()
        np.testing.assert_allclose(middle[~missing], 5.0, rtol=1e-5)


def test_edges_are_mirrored_or_missing() -> None:
    images = np.random.default_rng(0).normal(size=(1, 20, 20, 1)).astype(np.float32)
    assert np.isfinite(moved(images, turn(45))).all()
    out = moved(images, turn(45), edges="missing")
    assert np.isnan(out[0, 0, 0, 0]) and np.isfinite(out[0, 10, 10, 0])
    gone = moved(images, offset=(3.0, 0.0), edges="missing")
    assert np.isnan(gone[0, :, -3:]).all() and np.isfinite(gone[0, :, :-3]).all()


@pytest.mark.parametrize("step", [Shift(pixels=2.5), Rotation(), Zoom(amount=0.3)])
def test_random_moves_are_uniform_and_belong_to_the_seed(step: Affine) -> None:
    matrix, offset = (t.numpy() for t in step.placement(tf.constant(4000), SEED))
    if isinstance(step, Shift):
        values, low, high = offset[:, 0], -2.5, 2.5
        np.testing.assert_array_equal(matrix, np.repeat(np.eye(2)[None], 4000, 0))
        assert abs(np.corrcoef(offset.T)[0, 1]) < 0.06
    elif isinstance(step, Rotation):
        values, low, high = np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0]), -np.pi, np.pi
        np.testing.assert_allclose(np.linalg.det(matrix), 1, rtol=1e-5)
    else:
        values, low, high = -np.log(matrix[:, 0, 0]), -np.log(1.3), np.log(1.3)
    counts = np.histogram(values, bins=20, range=(low - 1e-5, high + 1e-5))[0]
    assert counts.sum() == 4000
    assert ((counts - 200) ** 2 / 200).sum() < 43.8  # chi-square, 19 degrees, p = 0.001
    images = tf.constant(blob())
    one, same = step(images, SEED).numpy(), step(images, SEED).numpy()
    np.testing.assert_array_equal(one, same)
    assert np.abs(step(images, SEED + 1).numpy() - one).max() > 1e-3
    assert np.abs(one[0] - one[1]).max() > 1e-3


def test_moves_together_break_what_each_breaks() -> None:
    moves = Moves((Shift(), Zoom()))
    assert moves.breaks == {"size", "flux"}
    out = Moves((Shift(edges="missing"), Rotation()))(tf.constant(blob()), SEED).numpy()
    assert np.isnan(out).any()
    with pytest.raises(ConfigError, match="edges"):
        Rotation(edges="wrap")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="`amount` must be"):
        Zoom(amount=-0.1)
