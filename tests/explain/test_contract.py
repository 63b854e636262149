"""What holds for every method whose outcome lies on the pixels of an image."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from astrocnn.errors import ModelError
from astrocnn.explain import METHODS, Output
from astrocnn.plugins import load_module, module_names
from astrocnn.targets import Categorical

from .networks import CLASSES, target

MAPS = [name for name in module_names(METHODS) if hasattr(load_module(METHODS, name), "pixel_map")]


@pytest.mark.parametrize("name", module_names(METHODS))
def test_a_file_has_a_function_of_its_name(name):
    module = load_module(METHODS, name)
    assert name in module.__all__
    assert next(iter(inspect.signature(getattr(module, name)).parameters)) == "model"
    assert "References" in (module.__doc__ or "")


@pytest.mark.parametrize("name", MAPS)
def test_maps_lie_on_the_pixels_whatever_the_batch_and_the_order(name, network):
    model, images, scalars, output = network
    pixel_map = load_module(METHODS, name).pixel_map
    found = pixel_map(model, images, output, scalars=scalars)
    assert found.shape[:3] == images.shape[:3]
    assert found.shape[3:] in ((), images.shape[3:])
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    scale = np.abs(found).max()
    assert scale > 0
    back = [2, 0, 1]
    moved = pixel_map(
        model,
        images[back],
        output,
        scalars=None if scalars is None else scalars[back],
        batch_size=50,
    )
    np.testing.assert_allclose(moved, found[back], atol=2e-4 * scale)


@pytest.mark.parametrize("name", MAPS)
def test_a_target_the_network_lacks_is_refused(name, linear, images):
    output = Output(target("form", Categorical(CLASSES)), "spiral")
    # Grad-CAM sees first that this one has no maps.
    words = "no convolution" if name == "grad_cam" else "does not predict 'form'"
    with pytest.raises(ModelError, match=words):
        load_module(METHODS, name).pixel_map(linear[0], images, output)
