"""Features of images beside those of networks: blocks, standardization, files, refusals."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from astrocnn.errors import ConfigError, InputsError, ModelError
from astrocnn.estimators._image_features import ImageFeatures
from astrocnn.features import compute
from astrocnn.imaging import Inputs

INPUTS = Inputs(("g", "r"), 16, pixel_scale=0.5, unit="nJy", scalars=("ebv", "mag", "size"))


class MeanNetwork:
    """Stands for a trained network: means of the bands, then its scalars."""

    fingerprint = "f" * 8

    def __init__(self, scalars=(), **changes):
        self.inputs = replace(INPUTS, scalars=scalars, **changes)

    def features(self, images, scalars=None):
        means = images.mean(axis=(1, 2))
        return means if scalars is None else np.hstack([means, scalars])


class LayeredNetwork(MeanNetwork):
    """The same with two layers, of which one squares."""

    def features(self, images, scalars=None, *, layer=None):
        means = super().features(images, scalars)
        if layer not in (None, "square"):
            raise ModelError(f"There is no layer '{layer}'.")
        return means**2 if layer else means


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:16, :16] - 7.5
    width = rng.uniform(2, 5, (30, 1, 1))
    source = 100 * np.exp(-(x**2 + y**2) / (2 * width**2))
    stack = np.stack([source, 0.6 * source], axis=-1) + rng.normal(size=(30, 16, 16, 2))
    return stack.astype(np.float32)


@pytest.fixture(scope="module")
def scalars():
    return np.random.default_rng(1).random((30, 3)).astype(np.float32)


def test_blocks_stand_in_the_order_of_the_parts(images, scalars):
    made = ImageFeatures(["colors", MeanNetwork(("mag", "ebv")), "cas"], INPUTS)
    found = made.measure(images, scalars)
    colors, cas = (compute(name, images, 0.5)[0] for name in ("colors", "cas"))
    # The network takes its own scalars, in its own order.
    network = np.hstack([images.mean(axis=(1, 2)), scalars[:, [1, 0]]])
    np.testing.assert_array_equal(found, np.hstack([colors, network, cas]))
    assert made.labels == ("colors", "network ffffffff", "cas")
    assert found.dtype == np.float32 and not made.needs_images


def test_a_layer_is_that_of_the_network(images):
    made = ImageFeatures([(LayeredNetwork(), "square"), LayeredNetwork()], INPUTS)
    found = made.measure(images, None)
    means = images.mean(axis=(1, 2))
    np.testing.assert_allclose(found, np.hstack([means**2, means]), rtol=1e-6)
    assert made.labels[0] == "network ffffffff, layer square"


def test_no_parts_measure_nothing(images):
    made = ImageFeatures([], INPUTS)
    assert made.measure(images, None).shape == (30, 0) and made.labels == ()


def test_standardized_features_have_mean_zero_and_variance_one(images):
    made = ImageFeatures(["colors", "cas"], INPUTS)
    values = made.measure(images, None)
    values[3, 0] = np.nan
    made.fit_scale(values)
    known = np.isfinite(values).all(axis=1)
    scaled = made.standardize(values)
    varying = values[known].std(axis=0) > 1e-4
    np.testing.assert_allclose(scaled[known].mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(scaled[known].std(axis=0)[varying], 1, rtol=1e-4)
    assert np.isnan(scaled[3, 0]) and scaled.dtype == np.float32
    # The rounding of a constant is no spread.
    made.fit_scale(np.full((5, 2), 0.1, np.float32))
    np.testing.assert_array_equal(made.scale, 1)
    made.fit_scale(np.full((5, 2), np.nan, np.float32))
    np.testing.assert_array_equal((made.location, made.scale), [[0, 0], [1, 1]])


def test_fitted_families_come_back_with_their_parameters(images, tmp_path):
    made = ImageFeatures(["pixels", "colors"], INPUTS)
    assert made.needs_images
    made.fit(images, seed=3)
    made.fit_scale(made.measure(images, None))
    made.save(tmp_path)
    again = ImageFeatures.load(tmp_path, INPUTS)
    np.testing.assert_array_equal(again.measure(images, None), made.measure(images, None))
    np.testing.assert_array_equal(again.location, made.location)
    np.testing.assert_array_equal(again.scale, made.scale)
    assert again.digest() == made.digest() and again.labels == made.labels
    assert ImageFeatures.load(tmp_path / "nowhere", INPUTS) is None
    (tmp_path / "features.npz").write_bytes(b"no archive")
    with pytest.raises(ModelError, match="train again"):
        ImageFeatures.load(tmp_path, INPUTS)


def test_the_digest_is_of_parts_parameters_and_statistics(images):
    made = ImageFeatures(["colors"], INPUTS)
    made.fit_scale(made.measure(images, None))
    text = hashlib.sha256(repr(("colors",)).encode())
    for array in (made.location, made.scale):
        text.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
    assert made.digest() == text.hexdigest()
    digests = {made.digest(), ImageFeatures(["colors"], INPUTS).digest()}
    made.scale = made.scale * 2
    digests |= {made.digest(), ImageFeatures(["cas"], INPUTS).digest()}
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("part", "error", "message"),
    [
        ("no such family", ConfigError, "no such family"),
        (MeanNetwork(("redshift",)), ModelError, "(?s)scalars that are not among.*redshift"),
        (MeanNetwork(size=8), InputsError, "not of the kind expected"),
        (MeanNetwork(bands=("g", "z")), InputsError, "not of the kind expected"),
        ((LayeredNetwork(), "cube"), ModelError, "no layer 'cube'"),
        ((MeanNetwork(), "square"), ModelError, "has no layers"),
        ((object(), None), ModelError, "Only a trained network of images"),
    ],
    ids=["family", "scalars", "size", "bands", "layer", "no layers", "no network"],
)
def test_unsuitable_parts_are_refused(part, error, message):
    with pytest.raises(error, match=message):
        ImageFeatures([part], INPUTS)
