"""Steps become one, and what would destroy a label is refused."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from astrocnn.datasets import (
    D4,
    BandDropout,
    Gain,
    Noise,
    Rotation,
    Shift,
    Zoom,
    build_steps,
    compose,
)
from astrocnn.datasets.augmentations._affine import Moves
from astrocnn.errors import ConfigError
from astrocnn.targets import Categorical, Target, Task

SEED = tf.constant([5, 6], tf.int32)
HANDS = Task(
    "morphology",
    (
        Target("winding", Categorical(("clockwise", "anticlockwise")), "wind", symmetric=False),
        Target("shape", Categorical(("disk", "bulge")), "shape"),
    ),
    "winding.accuracy",
)
SHAPES = Task("morphology", HANDS.targets[1:], "shape.accuracy")


def test_mirror_images_are_refused_where_handedness_is_the_question() -> None:
    with pytest.raises(ConfigError, match=r"D4 destroys the handedness") as error:
        compose([Gain(), D4()], HANDS)
    assert "labels of winding depend" in str(error.value)
    assert "D4(reflections=False)" in str(error.value)
    compose([D4(reflections=False), Rotation(), Zoom(), Gain()], HANDS)
    compose([D4()], SHAPES)


def test_moves_in_a_row_share_one_resampling() -> None:
    steps = compose([D4(), Shift(), Rotation(), Zoom(), Gain(), Rotation()]).steps
    assert [type(s).__name__ for s in steps] == ["D4", "Moves", "Gain", "Rotation"]
    assert compose(steps).steps == steps
    assert isinstance(steps[1], Moves) and len(steps[1].moves) == 3


def test_each_step_has_a_seed_of_its_own() -> None:
    images = tf.ones((2, 4, 4, 1))
    twice = compose([Noise(1.0, (1.0,)), Noise(1.0, (1.0,))])(images, SEED).numpy() - 1
    assert 1.0 < twice.std() < 1.9  # 1.41, and not 2 as with one seed
    once = compose([Noise(1.0, (1.0,))])
    assert not np.array_equal(once(images, SEED), once(images, SEED + 1))


def test_steps_by_name() -> None:
    steps = build_steps(
        {
            "noise": 0.5,
            "d4": True,
            "shift": 2,
            "rotation": True,
            "zoom": 0.1,
            "gain": 0.05,
            "band_dropout": 0.2,
        }
    )
    assert steps == (
        D4(),
        Shift(pixels=2.0),
        Rotation(),
        Zoom(amount=0.1),
        Gain(0.05),
        Noise(0.5),
        BandDropout(0.2),
    )
    assert build_steps({"d4": False, "shift": 0.0, "rotation": False}) == ()
    assert build_steps({"d4": "rotations"}) == (D4(reflections=False),)
    assert build_steps({"rotation": 30}) == (Rotation(degrees=30.0),)
    with pytest.raises(ConfigError, match=r"no augmentation 'rotate'(.|\n)*did you mean"):
        build_steps({"rotate": True})


def test_the_whole_chain_keeps_negatives_and_shape() -> None:
    images = np.random.default_rng(0).normal(size=(64, 16, 16, 3)).astype(np.float32)
    steps = build_steps({"d4": True, "shift": 1, "rotation": True, "zoom": 0.1, "gain": 0.02})
    out = tf.function(compose(steps))(tf.constant(images), SEED).numpy()
    assert out.shape == images.shape and np.isfinite(out).all()
    assert abs((out < 0).mean() - 0.5) < 0.01  # TRAPS 6
