from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocnn.errors import TrainingError
from astrocnn.training import OPTIMIZERS, PARAMETERS, SCHEDULES, Optimizer
from astrocnn.training.optimizers import PLATEAU_EPOCHS, count_plateaus


def _walk(method: Optimizer, gradients: list[float]) -> list[float]:
    """Positions of one weight that starts at 1 and sees these gradients."""
    weight = keras.Variable([1.0])
    rule = method.build()
    rule.build([weight])
    places = []
    for gradient in gradients:
        rule.apply([keras.ops.convert_to_tensor([gradient])], [weight])
        places.append(float(weight.numpy()[0]))
    return places


def test_sgd_momentum_and_nesterov_follow_their_recurrences():
    g = [1.0, -0.5, 2.0]
    for name in ("sgd", "momentum", "nesterov"):
        mu = 0.0 if name == "sgd" else 0.9
        weight, velocity, expected = 1.0, 0.0, []
        for gradient in g:
            velocity = mu * velocity - 0.1 * gradient
            weight += mu * velocity - 0.1 * gradient if name == "nesterov" else velocity
            expected.append(weight)
        np.testing.assert_allclose(_walk(Optimizer(name, 0.1), g), expected, rtol=1e-6)


@pytest.mark.parametrize("gradient", [0.01, 1.0, 50.0])
def test_the_first_step_of_adam_is_the_learning_rate(gradient):
    # Kingma & Ba 2015 (arXiv:1412.6980), section 2.1: |step| is about alpha at the start.
    assert _walk(Optimizer("adam", 0.01), [gradient])[0] == pytest.approx(0.99, abs=1e-5)


def test_adamw_shrinks_the_weight_apart_from_the_gradient():
    # Loshchilov & Hutter 2019 (arXiv:1711.05101), algorithm 2.
    place = _walk(Optimizer("adamw", 0.01, options={"weight_decay": 0.5}), [1.0])[0]
    assert place == pytest.approx(1.0 * (1 - 0.01 * 0.5) - 0.01, abs=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_downhill(name):
    places = _walk(Optimizer(name, 0.01), [1.0] * 5)
    assert np.all(np.diff([1.0, *places]) < 0)


def test_cosine_ends_at_the_floor_and_passes_the_middle():
    method = Optimizer("sgd", 2.0, schedule="cosine", floor=0.1)
    rates = [method.compute_rate(step, steps_per_epoch=5, epochs=4) for step in (0, 10, 20)]
    np.testing.assert_allclose(rates, [2.0, 2.0 * 0.55, 0.2])


def test_exponential_falls_by_the_same_factor_each_epoch():
    method = Optimizer("sgd", 1.0, schedule="exponential", floor=0.0001)
    rates = [method.compute_rate(10 * e, steps_per_epoch=10, epochs=4) for e in range(5)]
    np.testing.assert_allclose(rates, [1, 0.1, 0.01, 0.001, 0.0001])


def test_step_falls_in_three_equal_parts_and_inverse_sqrt_as_its_name_says():
    method = Optimizer("sgd", 1.0, schedule="step", floor=0.01)
    rates = [method.compute_rate(step, steps_per_epoch=3, epochs=3) for step in range(9)]
    np.testing.assert_allclose(rates, [1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01])
    # Vaswani et al. 2017, equation 3: from the end of the warm-up, the root of its length over
    # that of the training so far, however long the training will be.
    for warmup, unit in ((0.0, 4), (0.5, 4), (3.0, 12)):
        method = Optimizer("sgd", 1.0, schedule="inverse_sqrt", warmup=warmup, floor=0.1)
        start = round(4 * warmup)
        since = np.array([0, 1, 7, 40])
        for epochs in (5, 50):
            rates = [
                method.compute_rate(start + s, steps_per_epoch=4, epochs=epochs) for s in since
            ]
            np.testing.assert_allclose(rates, (1 + since / unit) ** -0.5)
    assert method.compute_rate(10**6, steps_per_epoch=4, epochs=10**6) == 0.1


def test_one_cycle_rises_to_the_highest_rate_and_falls_to_the_floor():
    # Smith & Topin 2017 (arXiv:1708.07120), section 3.
    method = Optimizer("sgd", 2.0, schedule="one_cycle", floor=0.05)
    rates = np.array(
        [method.compute_rate(step, steps_per_epoch=10, epochs=2) for step in range(21)]
    )
    np.testing.assert_allclose(rates[[0, 6, 20]], [0.1, 2.0, 0.1])
    assert np.all(np.diff(rates[:7]) > 0) and np.all(np.diff(rates[6:]) < 0)


def test_plateau_lowers_the_rate_by_a_decade_in_two_plateaus():
    method = Optimizer("sgd", 1.0, schedule="plateau", floor=0.001)
    still = [1.0] + [1.0] * (2 * PLATEAU_EPOCHS)
    assert count_plateaus(still[:PLATEAU_EPOCHS]) == 0
    assert count_plateaus(still) == 2
    assert count_plateaus(np.linspace(1, 0, 30)) == 0
    rates = [method.compute_rate(5, steps_per_epoch=1, epochs=9, drops=n) for n in (0, 2, 99)]
    np.testing.assert_allclose(rates, [1, 0.1, 0.001])


@given(
    st.sampled_from([name for name in SCHEDULES if name != "one_cycle"]),
    st.floats(0, 3),
    st.integers(1, 20),
    st.integers(4, 9),
)
def test_the_rate_rises_during_warm_up_and_never_after(schedule, warmup, steps, epochs):
    method = Optimizer("sgd", 0.5, schedule=schedule, warmup=warmup)
    rates = np.array(
        [
            method.compute_rate(i, steps_per_epoch=steps, epochs=epochs)
            for i in range(steps * epochs)
        ]
    )
    peak = int(np.ceil(warmup * steps))
    assert np.all(np.diff(rates[: peak + 1])[: max(0, peak - 1)] > 0)
    assert np.all(np.diff(rates[peak:]) <= 1e-15)
    assert rates.max() <= 0.5
    assert rates.min() >= 0.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "adamm"}, "did you mean 'adam'"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"warmup": -1.0}, "warmup"),
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"average": 1.0}, "average"),
        ({"floor": 2.0}, "floor"),
    ],
)
def test_a_wrong_setting_is_named(arguments, words):
    with pytest.raises(TrainingError, match=words):
        Optimizer(**arguments)


def test_an_option_the_optimizer_does_not_have_is_refused():
    with pytest.raises(TrainingError, match="did you mean 'momentum'"):
        Optimizer("sgd", options={"momentun": 0.5})
    with pytest.raises(TrainingError, match="'sgd' has no option 'beta_1'"):
        Optimizer("sgd", options={"beta_1": 0.5})
    with pytest.raises(TrainingError, match="Invalid options of the optimizer"):
        Optimizer("sgd", options={"momentum": 7.0}).build()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_parameter_reaches_the_optimizer(name):
    given = {key: key in ("nesterov", "centered", "amsgrad") or 0.125 for key in PARAMETERS[name]}
    built = Optimizer(name, options=given).build().get_config()
    assert {key: built[key] for key in given} == given
