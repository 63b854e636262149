"""The fovea sees the middle, the context everything; Grad-CAM finds maps of the whole image."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from astrocnn.explain.receptive_field import compute_receptive_field
from astrocnn.models.architectures import fovea
from astrocnn.models.blocks import Block
from astrocnn.models.layer_access import last_maps
from astrocnn.models.options import Options

SIDE = 64


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    image = keras.Input((SIDE, SIDE, 1), name="image")
    out = fovea.features(image, None, Block(Options(width=0.125)))
    return keras.Model({"image": image}, out)


def test_only_the_context_sees_the_border(network):
    images = np.random.default_rng(0).normal(size=(2, SIDE, SIDE, 1)).astype("float32")
    border = (SIDE - 40) // 2
    images[1, border:-border, border:-border] = images[0, border:-border, border:-border]
    near, far = np.asarray(network({"image": images}))
    half = len(near) // 2
    np.testing.assert_allclose(near[:half], far[:half], rtol=1e-5)
    assert not np.allclose(near[half:], far[half:])


def test_the_last_maps_are_those_of_the_context(network):
    field = compute_receptive_field(network, last_maps(network))
    assert (field.x.size, field.x.step) == (137, 16)
