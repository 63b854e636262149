"""The network that looks at no image."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from astrocnn.errors import ModelError
from astrocnn.models import MonteCarloDropout
from astrocnn.models.build import build_model, smallest_size
from astrocnn.models.options import Options


def make(task, n_scalars=5, **options):
    return build_model(
        "ann", task, size=0, n_channels=0, n_scalars=n_scalars, options=Options(**options)
    )


def test_hidden_layers_have_twice_as_many_units_as_inputs(task_of):
    for n in (3, 9):
        model = make(task_of(z=1), n)
        assert [x.units for x in model.layers if hasattr(x, "units")] == [2 * n, 2 * n, 1]
    wide = make(task_of(z=1), 5, width=4)
    assert [x.units for x in wide.layers if hasattr(x, "units")] == [40, 40, 1]
    assert smallest_size("ann") == 0


def test_its_only_input_are_the_scalars(two_targets, tmp_path):
    model = make(two_targets)
    assert set(model.input) == {"scalars"}
    x = {"scalars": np.random.default_rng(0).normal(size=(4, 5)).astype("float32")}
    y = model(x)
    assert {name: tuple(value.shape) for name, value in y.items()} == {
        "morphology": (4, 3),
        "merger": (4, 1),
    }
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)(x)
    for name, value in y.items():
        np.testing.assert_array_equal(value, again[name])


def test_it_is_the_network_of_the_paper_up_to_the_scale_of_the_sigmoid(task_of):
    """tanh(x) = 2 g(2x) - 1 with the g of Collister & Lahav 2004, equation 2."""
    model = make(task_of(z=1))
    (w1, b1), (w2, b2), (w3, b3) = (
        layer.get_weights() for layer in model.layers if layer.get_weights()
    )
    x = np.random.default_rng(1).normal(size=(6, 5)).astype("float32")

    def g(u):
        return 1 / (1 + np.exp(-u))

    hidden = g(2 * (x @ w1 + b1))
    second = g(2 * ((2 * hidden - 1) @ w2 + b2))
    expected = (2 * second - 1) @ w3 + b3
    np.testing.assert_allclose(model({"scalars": x})["z"], expected, atol=1e-5)


def test_it_can_be_drawn_from(task_of):
    model = make(task_of(z=2), 8, width=2)
    x = {"scalars": np.random.default_rng(0).normal(size=(4, 8)).astype("float32")}
    draws = np.asarray(MonteCarloDropout(model, 20, 3)(x)["z"])
    assert draws.shape == (20, 4, 2) and np.ptp(draws, axis=0).min() > 0


@pytest.mark.parametrize(("channels", "scalars"), [(3, 0), (3, 2), (0, 0)])
def test_an_image_or_nothing_at_all_is_refused(channels, scalars, two_targets):
    with pytest.raises(ModelError, match=r"(?s)takes scalars only.*Inputs\(\(\), 0"):
        build_model("ann", two_targets, size=32, n_channels=channels, n_scalars=scalars)
