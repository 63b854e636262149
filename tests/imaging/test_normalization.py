"""Normalization: closed forms, independence of chunking, exact storage, all array libraries."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocnn.errors import ConfigError, InputsError
from astrocnn.imaging.background import estimate_sky_noise
from astrocnn.imaging.normalization import STRETCHES, Normalization, compress, expand
from astrocnn.imaging.normalization_fitter import Moments, NormalizationFitter, PixelSample

SIGMA = np.array([1.0, 5.0, 0.02])


def sky(n: int = 60, size: int = 24, seed: int = 1, holes: float = 0.05) -> np.ndarray:
    """Correlated Gaussian sky in three bands, a bright source in the middle, holes of NaN."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, size, size, 1))
    images = (0.6 * common + 0.8 * rng.normal(size=(n, size, size, 3))) * SIGMA
    y, x = np.mgrid[:size, :size] - size // 2
    images += np.exp(-(x**2 + y**2) / 6.0)[None, :, :, None] * SIGMA * 200
    images[rng.random(images.shape) < holes] = np.nan
    return images.astype(np.float32)


def fit(images: np.ndarray, chunks: int = 1, **options: object) -> Normalization:
    fitter = NormalizationFitter(**options)  # type: ignore[arg-type]
    for chunk in np.array_split(images, chunks):
        fitter.update(chunk)
    return fitter.finish()


@pytest.mark.parametrize("stretch", ["linear", "asinh", "log"])
def test_training_pixels_get_zero_mean_and_unit_variance(stretch: str) -> None:
    images = sky()
    valid = np.isfinite(images)
    z = fit(images, stretch=stretch).apply(images).astype(np.float64)
    assert z.dtype == np.float64 and np.isfinite(z).all()
    for band in range(3):
        inside = z[..., band][valid[..., band]]
        assert inside.mean() == pytest.approx(0, abs=2e-6)
        assert inside.std() == pytest.approx(1, abs=2e-6)
    assert (z[~valid] == 0).all()


@pytest.mark.parametrize(
    ("stretch", "whiten"),
    [("none", False)] + [(s, w) for s in ("linear", "asinh", "log") for w in (False, True)],
)
def test_chunks_do_not_matter(stretch: str, whiten: bool, monkeypatch) -> None:
    # A warm-up of 20 images, so that its end falls inside a chunk.
    monkeypatch.setattr("astrocnn.imaging.normalization_fitter.WARM_UP_IMAGES", 20)
    images = sky()
    whole = fit(images, 1, stretch=stretch, whiten=whiten)
    parts = fit(images, 7, stretch=stretch, whiten=whiten)
    assert parts.softening == whole.softening and parts.noise == whole.noise
    for name in ("location", "scale", "fill"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-9, atol=1e-9)
    if whiten:
        np.testing.assert_allclose(parts.whitening, whole.whitening, rtol=1e-6, atol=1e-9)


def test_moments_agree_with_numpy_on_badly_conditioned_data() -> None:
    rng = np.random.default_rng(0)
    data = 1e8 + rng.normal(size=(3000, 2)) @ np.array([[1.0, 0.5], [0.0, 2.0]])
    moments = Moments(2, complete=True)
    for block in np.array_split(data, 11):
        moments.update(block)
    np.testing.assert_allclose(moments.covariance, np.cov(data.T, bias=True), rtol=1e-6)
    np.testing.assert_allclose(moments.mean, data.mean(axis=0), rtol=1e-14)


@pytest.mark.parametrize("chunks", [1, 5])
def test_robust_statistics_ignore_outliers_within_the_stated_error(chunks: int) -> None:
    rng = np.random.default_rng(3)
    images = rng.normal(10.0, 2.0, size=(200, 48, 48, 1)).astype(np.float32)
    images[rng.random(images.shape) < 0.01] = 1e6
    result = fit(images, chunks, stretch="linear", robust=True)
    # One per cent of outliers on one side shifts the median by 0.0126 sigma: an exact quantile.
    assert result.location[0] == pytest.approx(10.0 + 2 * 0.01266, abs=5 * 0.00245 * 2)
    assert result.scale[0] == pytest.approx(2.0, rel=0.03)
    assert result == fit(images, 3, stretch="linear", robust=True)


def test_sample_of_pixels_is_uniform_and_free_of_chunks() -> None:
    stream = np.arange(200_000.0)[:, None]
    kept = []
    for chunks in (1, 13):
        sample = PixelSample(4000, seed=5)
        for chunk in np.array_split(stream, chunks):
            sample.update(chunk)
        kept.append(sample.values()[:, 0])
    np.testing.assert_array_equal(*kept)
    assert len(set(kept[0])) == 4000
    counts = np.histogram(kept[0], bins=20, range=(0, 200_000))[0]
    assert ((counts - 200) ** 2 / 200).sum() < 43.8  # chi-square, 19 degrees, p = 0.001


def test_whitened_training_pixels_have_identity_covariance() -> None:
    images = sky()
    complete = np.isfinite(images).all(axis=-1)
    z = fit(images, stretch="asinh", whiten=True).apply(images)[complete].astype(np.float64)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=5e-6)
    np.testing.assert_allclose(np.cov(z.T, bias=True), np.eye(3), atol=2e-5)


def test_sky_noise_is_found_under_a_bright_source_and_becomes_the_softening() -> None:
    images = sky(n=200, size=32)
    result = fit(images, stretch="asinh")
    np.testing.assert_allclose(result.noise, SIGMA, rtol=0.03)
    assert result.softening == result.noise
    given = fit(images, stretch="log", softening=[1.0, 2.0, 3.0])
    assert given.softening == (1.0, 2.0, 3.0)
    assert fit(images, stretch="log", softening=2.5).softening == (2.5, 2.5, 2.5)


def test_sky_noise_of_an_image_without_data_is_nan() -> None:
    images = sky(n=3, size=16)
    images[1, :, :, 2] = np.nan
    noise = estimate_sky_noise(images)
    assert np.isnan(noise[1, 2]) and np.isfinite(np.delete(noise.ravel(), 5)).all()


@pytest.mark.parametrize("stretch", ["asinh", "log"])
def test_stretch_closed_forms(stretch: str) -> None:
    s = np.array([2.0])
    x = np.array([[-6.0], [0.0], [1e-3], [6.0]])
    want = {
        "asinh": np.log(3 + np.sqrt(10)),  # asinh(3)
        "log": np.log(4.0),
    }[stretch]
    y = compress(x, stretch, s)
    np.testing.assert_allclose(y[:, 0], [-want, 0.0, 5e-4, want], rtol=6e-4)
    np.testing.assert_allclose(expand(y, stretch, s), x, rtol=1e-12, atol=1e-15)


@given(
    st.sampled_from(STRETCHES),
    st.booleans(),
    st.booleans(),
    st.lists(st.floats(-1e4, 1e4, width=32), min_size=6, max_size=6),
)
def test_invert_undoes_apply(stretch: str, whiten: bool, mask: bool, values: list[float]) -> None:
    normalization = Normalization(
        stretch,
        location=(0.5, -2.0),
        scale=(2.0, 0.5),
        softening=(10.0, 3.0),
        whitening=((0.8, 0.6), (-0.5, 1.5)) if whiten else None,
        mask_channel=mask,
    )
    flux = np.asarray(values, np.float32).reshape(3, 2)
    flux[0, 0] = np.nan
    back = normalization.invert(normalization.apply(flux))
    known = np.isfinite(flux)
    np.testing.assert_allclose(back[known], flux[known], rtol=2e-4, atol=2e-2)
    if mask:
        assert np.isnan(back[0, 0])
    else:
        fill = expand(np.array(normalization.location), stretch, np.array([10.0, 3.0]))
        assert back[0, 0] == pytest.approx(fill[0], rel=1e-3, abs=2e-2)


def test_negative_fluxes_survive() -> None:
    """TRAPS 6: stock layers clip at 0."""
    images = sky(holes=0)
    for stretch in STRETCHES:
        z = fit(images, stretch=stretch).apply(images)
        order = np.argsort(images[..., 0].ravel())
        assert (np.diff(z[..., 0].ravel()[order]) >= 0).all()
        assert len(np.unique(z[..., 0])) > 0.5 * len(np.unique(images[..., 0]))


def test_mask_channels_tell_data_from_none_and_a_hole_never_spreads() -> None:
    images = sky(n=4)
    images[0, 3, 4, 1] = np.inf
    z = fit(images, stretch="linear", whiten=True, mask_channel=True).apply(images)
    assert z.shape == (4, 24, 24, 6) and z.dtype == np.float32
    np.testing.assert_array_equal(z[..., 3:], np.isfinite(images))
    assert np.isfinite(z).all()


@pytest.mark.parametrize("mask", [False, True])
def test_complete_images_need_no_search_for_holes(mask: bool) -> None:
    images = sky(n=4, holes=0)
    result = fit(images, stretch="asinh", mask_channel=mask)
    # The largest fluxes of float32 overflow: where they do there are no data.
    bright = np.full_like(images, 3e38)
    for stack in (images, bright):
        got = result.apply(stack, complete=True)
        np.testing.assert_array_equal(got, result.apply(stack))
        assert np.isfinite(got).all()
    assert (result.apply(bright)[..., 2] == 0).all() and (result.apply(bright)[..., 1] > 5).all()
    identity = Normalization.identity(3).apply(images)
    np.testing.assert_array_equal(identity, images)


def test_without_a_stretch_pixels_stay_and_holes_get_the_mean() -> None:
    images = sky()
    z = fit(images, stretch="none").apply(images)
    valid = np.isfinite(images)
    np.testing.assert_array_equal(z[valid], images[valid])
    for band in range(3):
        mean = images[..., band][valid[..., band]].astype(np.float64).mean()
        np.testing.assert_allclose(z[..., band][~valid[..., band]], mean, rtol=1e-6)


def test_same_numbers_in_numpy_keras_and_a_tensorflow_graph() -> None:
    import keras
    import tensorflow as tf

    images = sky(n=3)
    for stretch in STRETCHES:
        whiten = stretch != "none"  # multiplies the rounding of pixels 200 sigma bright
        normalization = fit(images, stretch=stretch, whiten=whiten, mask_channel=True)
        want = normalization.apply(images)
        eager = keras.ops.convert_to_numpy(normalization.apply(images, keras.ops))
        graph = tf.function(lambda x, n=normalization: n.apply(x, tf.experimental.numpy))(images)
        assert graph.dtype == tf.float32 and graph.shape == want.shape
        np.testing.assert_allclose(eager, want, rtol=1e-5, atol=2e-4)
        np.testing.assert_allclose(graph.numpy(), want, rtol=1e-5, atol=2e-4)


def test_json_round_trip_is_exact() -> None:
    result = fit(sky(), stretch="asinh", whiten=True, mask_channel=True)
    again = Normalization.from_json(result.to_json())
    assert again == result and hash(again) == hash(result)
    with pytest.raises(ConfigError, match="gamma: this version does not know it"):
        Normalization.from_dict({**json.loads(result.to_json()), "gamma": 1})


def test_big_endian_and_integer_images_are_taken() -> None:
    images = sky(n=5, holes=0)
    a = fit(images, stretch="linear")
    b = fit(images.astype(">f4"), stretch="linear")
    assert a == b
    np.testing.assert_array_equal(a.apply(images), b.apply(images.astype(">f4")))


def test_refusals() -> None:
    flat = sky(holes=0)
    flat[..., 1] = 0.1
    with pytest.raises(InputsError, match=r"Band r has the same value"):
        fit(flat, stretch="asinh", bands=("g", "r", "i"))
    empty = sky()
    empty[..., 2] = np.nan
    with pytest.raises(InputsError, match=r"Band number 2 has no data"):
        fit(empty, stretch="linear")
    twin = sky(holes=0)
    twin[..., 2] = 2 * twin[..., 0] - twin[..., 1]
    with pytest.raises(InputsError, match="linear combination"):
        fit(twin, stretch="linear", whiten=True)
    with pytest.raises(InputsError, match="more than half"):
        fit(np.where(sky(holes=0) < 2.5 * SIGMA, 0, 1), stretch="linear", robust=True)
    with pytest.raises(InputsError, match="No images"):
        NormalizationFitter().finish()
    with pytest.raises(InputsError, match="number of bands changed"):
        NormalizationFitter().update(sky()).update(sky()[..., :2])
    with pytest.raises(InputsError, match="axes"):
        NormalizationFitter().update(sky()[0])
    with pytest.raises(InputsError, match="another number of bands"):
        Normalization.identity(2).apply(sky(n=1))
    with pytest.raises(ConfigError, match=r"did you mean 'asinh'"):
        NormalizationFitter("arsinh")
    with pytest.raises(ConfigError, match="stay as they are"):
        NormalizationFitter("none", whiten=True)
    with pytest.raises(ConfigError, match="positive"):
        NormalizationFitter("log", softening=-1.0)
    with pytest.raises(ConfigError, match="must be positive"):
        Normalization("linear", (0.0,), (0.0,))
    with pytest.raises(ConfigError, match="one finite number per band"):
        Normalization("linear", (0.0, 1.0), (1.0,))
