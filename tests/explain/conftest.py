"""Fixtures of the networks to be explained."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers

from astrocnn.models import Options
from astrocnn.models.build import build_model

from .networks import BANDS, NETWORKS, SIZE, make_images


@pytest.fixture
def images():
    return make_images(5)


@pytest.fixture(scope="session")
def linear():
    """A network of one dense layer, and its weights for "spiral" on the pixels."""
    keras.utils.set_random_seed(0)
    image = layers.Input((SIZE, SIZE, BANDS), name="image")
    flat = layers.Flatten()(image)
    raw = layers.Dense(3, bias_initializer="normal", name="shape")(flat)
    model = keras.Model({"image": image}, {"shape": raw}, name="linear")
    w = keras.ops.convert_to_numpy(model.get_layer("shape").kernel)[:, 1]
    return model, w.reshape(SIZE, SIZE, BANDS)


@pytest.fixture(scope="session", params=sorted(NETWORKS))
def network(request):
    """``(model, images, scalars, output)`` of an architecture with few filters."""
    size, bands, n_scalars, output = NETWORKS[request.param]
    keras.utils.set_random_seed(3)
    model = build_model(
        request.param,
        SimpleNamespace(targets=(output.target,)),
        size=size,
        n_channels=bands,
        n_scalars=n_scalars,
        options=Options(width=0.25),
    )
    scalars = np.linspace(-1, 1, 3 * n_scalars, dtype=np.float32).reshape(3, -1)
    return model, make_images(3, size, bands), scalars if n_scalars else None, output
