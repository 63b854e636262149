"""What holds for every augmentation: those of the package, and leaves of users."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from astrocnn import plugins
from astrocnn.datasets import build_step, build_steps, compose
from astrocnn.datasets.augmentations.base import SYMMETRIES
from astrocnn.errors import ConfigError
from astrocnn.imaging import Inputs, Normalization
from astrocnn.targets import Categorical, Target, Task

SEED = tf.constant([3, 4], tf.int32)
SIZE, BANDS = 17, ("g", "r", "i")
INPUTS = Inputs(BANDS, SIZE, normalization=Normalization.identity(3))
FLIP = """
    import tensorflow as tf

    class FlipUp:
        breaks = frozenset({"handedness", "orientation"})

        def __init__(self, probability=0.5):
            self.probability = probability

        def __call__(self, images, seed):
            chance = tf.random.stateless_uniform((tf.shape(images)[0], 1, 1, 1), seed)
            return tf.where(chance < self.probability, images[:, ::-1], images)

    def brighten(images, seed, factor=1.5):
        return images * tf.random.stateless_uniform((tf.shape(images)[0], 1, 1, 1), seed, 1, factor)

    brighten.breaks = frozenset({"flux"})

    def undeclared(images, seed):
        return images
"""
LISTED = plugins.names("augmentations")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "flips.py"
    path.write_text(textwrap.dedent(FLIP))
    return path


def images(n: int = 24) -> np.ndarray:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    found = 30 * np.exp(-(x**2 + 2 * y**2) / 30)[None, ..., None] + rng.normal(
        size=(n, SIZE, SIZE, 3)
    )
    found[: n // 2, 2:4, 3, 1] = np.nan
    return found.astype(np.float32)


def check_contract(step) -> None:
    """Everything `Step` promises, on images with holes and negative fluxes."""
    if hasattr(step, "bind"):
        step = step.bind(INPUTS)
    if "sky" in getattr(step, "__dataclass_fields__", {}):
        step = type(step)(1.0, sky=(1.0, 2.0, 3.0))
    assert step.breaks <= set(SYMMETRIES)
    given = images()
    once = np.asarray(step(tf.constant(given), SEED))
    assert once.shape == given.shape and once.dtype == np.float32
    np.testing.assert_array_equal(once, np.asarray(step(tf.constant(given), SEED)))
    assert not np.array_equal(once, np.asarray(step(tf.constant(given), SEED + 1)), equal_nan=True)
    assert (once < 0).any() and np.isfinite(once[len(given) // 2 :]).any()
    assert np.isnan(once[: len(given) // 2]).any()
    signature = [tf.TensorSpec((None, SIZE, SIZE, 3)), tf.TensorSpec((2,), tf.int32)]
    graph = tf.function(lambda x, seed: step(x, seed), input_signature=signature)
    np.testing.assert_allclose(np.asarray(graph(given, SEED)), once, rtol=1e-5, atol=1e-5)
    assert np.asarray(graph(given[:1], SEED)).shape == (1, SIZE, SIZE, 3)


def test_all_augmentations_of_the_package_are_listed() -> None:
    affine = {"crop", "rotation", "shift", "zoom"}
    flux = {"background", "band_dropout", "blur", "gain", "noise"}
    assert set(LISTED) == {"d4"} | affine | flux


@pytest.mark.parametrize("name", LISTED)
def test_a_listed_augmentation_keeps_the_contract(name: str) -> None:
    check_contract(build_step(name))


@pytest.mark.parametrize(
    ("reference", "value"),
    [(":FlipUp", True), (":FlipUp", {"probability": 0.4}), (":brighten", True)],
)
def test_a_leaf_of_a_file_keeps_the_contract(file: Path, reference: str, value: object) -> None:
    check_contract(build_step(f"{file}{reference}", value, trusted=True))


def test_parameters_reach_a_leaf_of_a_file(file: Path) -> None:
    given = tf.constant(images())
    flipped = build_step(f"{file}:FlipUp", {"probability": 1.0}, trusted=True)
    np.testing.assert_array_equal(flipped(given, SEED), given[:, ::-1])
    bright = build_step(f"{file}:brighten", {"factor": 1.001}, trusted=True)
    ratio = np.asarray(bright(given, SEED) / given)
    assert np.nanmin(ratio) >= 1.0 and np.nanmax(ratio) < 1.0011
    assert bright.breaks == {"flux"}


def test_callables_and_classes_are_steps_as_they_are() -> None:
    def shade(images, seed):
        return images * 0.5

    shade.breaks = frozenset({"flux"})
    assert build_step(shade) is shade
    plan = compose([shade, *build_steps({"d4": True})])
    np.testing.assert_allclose(
        np.sort(np.asarray(plan(tf.ones((1, 4, 4, 1)), SEED)).ravel()), np.full(16, 0.5)
    )


def test_a_leaf_of_a_user_is_refused_where_it_destroys_the_labels(file: Path) -> None:
    winding = Target("winding", Categorical(("clockwise", "anticlockwise")), "w", symmetric=False)
    task = Task("morphology", (winding,), "winding.accuracy")
    step = build_step(f"{file}:FlipUp", trusted=True)
    with pytest.raises(ConfigError, match=r"FlipUp destroys the handedness(.|\n)*winding"):
        compose([step], task)
    compose([build_step(f"{file}:brighten", trusted=True)], task)


def test_a_step_declares_what_it_breaks(file: Path) -> None:
    step = build_step(f"{file}:undeclared", trusted=True)
    with pytest.raises(ConfigError, match=r"'undeclared' does not declare what it breaks"):
        compose([step])
    step.breaks = frozenset({"winding"})
    with pytest.raises(ConfigError, match=r"unknown symmetries(.|\n)*handedness"):
        compose([step])


@pytest.mark.parametrize("options", [{"pixel": 2.0}, {"pixels": 1.0, "angle": 3.0}])
def test_unknown_parameters_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"'Shift' does not accept(.|\n)*unexpected keyword"):
        build_step("shift", options)


@pytest.mark.parametrize("name", ["background", "blur", "gain", "noise", "zoom"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_negative_and_infinite_amounts_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match="must be a finite number >= 0"):
        build_step(name, value)
