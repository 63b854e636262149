"""What holds for every check: one result per object, whatever the order and the batch."""

from __future__ import annotations

import inspect

import keras
import numpy as np
import pytest

from astrocnn.errors import InputsError
from astrocnn.explain import checks, saliency

from .networks import SIZE, SPIRAL, make_images

FUNCTIONS = {
    name: found for name in checks.__all__ if inspect.isfunction(found := getattr(checks, name))
}
LISTED = sorted(FUNCTIONS)
N = 4  # equal to no other length


def call(function, model, images, masks, **more):
    """A check called with whatever it takes by the names of its parameters."""
    maps = saliency(model, images, SPIRAL) * images
    given = {
        "method": saliency,
        "model": model,
        "images": images,
        "target": SPIRAL,
        "maps": maps,
        "masks": masks,
    }
    taken = inspect.signature(function).parameters
    return function(
        **{k: v for k, v in given.items() if k in taken},
        **{k: v for k, v in more.items() if k in taken},
    )


def arrays_of(found):
    """The arrays of a result that have a row per object."""
    fields = found if isinstance(found, tuple) else (found,)
    return [f for f in fields if isinstance(f, np.ndarray) and len(f) == N]


@pytest.fixture
def world():
    images = make_images(N)
    masks = np.zeros((N, SIZE, SIZE), bool)
    masks[:, 2:6, 1:4] = True
    return images, masks


@pytest.mark.parametrize("name", LISTED)
def test_a_check_names_its_papers(name):
    assert "References" in inspect.getmodule(FUNCTIONS[name]).__doc__


@pytest.mark.parametrize("name", LISTED)
def test_results_belong_to_objects_whatever_the_order_and_the_batch(name, linear, world):
    model, _ = linear
    images, masks = world
    function = FUNCTIONS[name]
    weights = [w.copy() for w in model.get_weights()]
    found = arrays_of(call(function, model, images, masks))
    back = np.array([2, 0, 3, 1])
    moved = arrays_of(call(function, model, images[back], masks[back], batch_size=3))
    assert found
    for a, b in zip(found, moved, strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_allclose(b, a[back], atol=1e-5)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("name", LISTED)
def test_results_depend_on_the_seed_alone(name, linear, world):
    model, _ = linear
    function = FUNCTIONS[name]
    found, again, other = (
        arrays_of(call(function, model, *world, seed=seed)) for seed in (0, 0, 1)
    )
    for a, b in zip(found, again, strict=True):
        np.testing.assert_array_equal(a, b)
    if "seed" in inspect.signature(function).parameters:
        assert any(np.abs(a - b).max() > 0 for a, b in zip(found, other, strict=True))


@pytest.mark.parametrize("name", LISTED)
def test_maps_of_another_shape_are_refused(name, linear, world):
    model, _ = linear
    images, masks = world
    function = FUNCTIONS[name]
    taken = set(inspect.signature(function).parameters)
    for wrong in (np.zeros((N, 3)), np.full((N, SIZE, SIZE, 2), np.nan)):
        given = {
            "method": lambda *_, wrong=wrong, **__: wrong,
            "model": model,
            "images": images,
            "target": SPIRAL,
            "maps": wrong,
            "masks": masks,
        }
        with pytest.raises(InputsError, match="maps"):
            function(**{k: v for k, v in given.items() if k in taken})


@pytest.mark.parametrize(
    "name", [n for n in LISTED if "scalars" in str(inspect.signature(FUNCTIONS[n]))]
)
def test_networks_with_scalars(name):
    image = keras.layers.Input((SIZE, SIZE, 2), name="image")
    scalars = keras.layers.Input((1,), name="scalars")
    joined = keras.layers.Concatenate()([keras.layers.Flatten()(image), scalars])
    raw = keras.layers.Dense(3, name="shape")(joined)
    model = keras.Model({"image": image, "scalars": scalars}, {"shape": raw})
    images, numbers = make_images(N), np.arange(N, dtype=np.float32)[:, None]
    function = FUNCTIONS[name]
    given = {"method": saliency, "maps": images, "scalars": numbers}
    taken = inspect.signature(function).parameters
    found = arrays_of(
        function(
            model=model,
            images=images,
            target=SPIRAL,
            **{k: v for k, v in given.items() if k in taken},
        )
    )
    assert all(np.isfinite(a).all() for a in found)
