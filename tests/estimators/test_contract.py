"""What every estimator promises; a new one is tested by existing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from astrocnn import plugins
from astrocnn.errors import AstrocnnError, InputsError
from astrocnn.estimators import Estimator, load_estimator

from .conftest import SIZE, images_and_classes, predict

# One without an example predicts nothing: it is tested by itself.
NAMES = [
    name
    for name in plugins.module_names("astrocnn.estimators")
    if hasattr(plugins.load_module("astrocnn.estimators", name), "example")
]
DRAWS = 3


@pytest.fixture(scope="module", params=NAMES)
def leaf(request):
    return plugins.load_module("astrocnn.estimators", request.param)


@pytest.fixture(scope="module")
def fitted(leaf, shards, task, inputs) -> Estimator:
    estimator = leaf.example(task, inputs)
    assert estimator.fit(shards, np.arange(90), np.arange(90, 120)) is estimator
    return estimator


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return images_and_classes(150, seed=4)[0]


@pytest.fixture(scope="module")
def drawn(fitted, images):
    return predict(fitted, images, draws=DRAWS, seed=7)


def _same(a, b) -> None:
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


def test_there_are_estimators():
    assert {"keras_estimator", "classical"} <= set(NAMES)


def test_it_follows_the_protocol(leaf, fitted):
    assert isinstance(fitted, Estimator)
    assert isinstance(fitted, leaf.ESTIMATOR)
    assert fitted.precision in ("float32", "bfloat16")


def test_training_objects_are_mostly_correct(fitted, task):
    images, wide = images_and_classes(200, seed=11)
    p = predict(fitted, images)["morphology"].mean(axis=0)
    assert ((p[:, 0] > 0.5) == wide).mean() > 0.85


def test_samples_are_activated_parameters(fitted, task, drawn, images):
    passes = len(predict(fitted, images)["bright"])
    for target in task.targets:
        values = drawn[target.name]
        assert values.shape == (DRAWS * passes, len(images), target.family.units)
        assert values.dtype == np.float32
        p = target.family.to_probabilities(values)
        np.testing.assert_allclose(p.sum(axis=-1), 1, atol=1e-5)
        assert p.min() >= 0
    assert set(drawn) == set(task.names)
    assert predict(fitted, images)["bright"].shape == (passes, len(images), 1)


def test_draws_differ_and_are_the_same_again(fitted, drawn, images):
    assert np.ptp(drawn["morphology"], axis=0).max() > 1e-4
    _same(drawn, predict(fitted, images, draws=DRAWS, seed=7))
    other = predict(fitted, images, draws=DRAWS, seed=8)
    assert np.abs(other["morphology"] - drawn["morphology"]).max() > 1e-4
    more = predict(fitted, images, draws=DRAWS + 2, seed=7)
    _same(drawn, {name: values[: len(drawn[name])] for name, values in more.items()})


@pytest.mark.parametrize("draws", [0, DRAWS])
@pytest.mark.parametrize("pieces", [[150], [1, 149], [64, 64, 22], [37, 50, 63]])
def test_any_split_gives_the_same_bits(fitted, images, drawn, draws, pieces):
    whole = drawn if draws else predict(fitted, images)
    edges = np.cumsum([0, *pieces])
    parts = [
        predict(fitted, images[a:b], draws=draws, seed=7) for a, b in itertools.pairwise(edges)
    ]
    _same(whole, {name: np.concatenate([p[name] for p in parts], axis=1) for name in whole})


def test_any_order_gives_the_same_bits(fitted, images, drawn):
    order = np.random.default_rng(0).permutation(len(images))
    shuffled = predict(fitted, images[order], draws=DRAWS, seed=7)
    _same(shuffled, {name: values[:, order] for name, values in drawn.items()})


def test_big_endian_and_double_precision_images(fitted, images):
    native = predict(fitted, images[:10])
    _same(native, predict(fitted, images[:10].astype(">f4")))
    _same(native, predict(fitted, images[:10].astype(np.float64)))
    backwards = predict(fitted, images[9::-1])
    _same(native, {name: values[:, ::-1] for name, values in backwards.items()})


def test_pixels_without_data_give_numbers_and_scalars_without_value_none(fitted):
    blank = np.full((2, SIZE, SIZE, 2), np.nan, np.float32)
    for values in predict(fitted, blank, draws=2).values():
        assert np.isfinite(values).all() if fitted.inputs.bands else np.isnan(values).all()


def test_the_input_arrays_are_unchanged(fitted, images):
    before = images.copy()
    predict(fitted, images, views="d4")
    np.testing.assert_array_equal(images, before)


def test_d4_is_the_mean_over_the_eight_views(fitted, images):
    some = images[:12]
    averaged = predict(fitted, some, draws=2, seed=1, views="d4")
    views = [
        predict(fitted, np.rot90(flipped, k, axes=(1, 2)), draws=2, seed=1)
        for flipped in (some, some[:, ::-1])
        for k in range(4)
    ]
    for name, values in averaged.items():
        expected = np.mean([view[name] for view in views], axis=0)
        np.testing.assert_allclose(values, expected, atol=2e-3)
    turned = predict(fitted, np.rot90(some, axes=(1, 2)), draws=2, seed=1, views="d4")
    for name, values in averaged.items():
        np.testing.assert_allclose(values, turned[name], atol=1e-6)


def test_predictions_of_no_objects(fitted, images):
    passes = len(predict(fitted, images[:0])["morphology"])
    assert predict(fitted, images[:0], draws=4)["morphology"].shape == (4 * passes, 0, 2)


@pytest.mark.parametrize("shape", [(3, SIZE, SIZE, 3), (3, SIZE, 20, 2), (SIZE, SIZE, 2)])
def test_other_images_are_refused(fitted, shape):
    if not fitted.inputs.bands:
        pytest.skip("looks at no image")
    with pytest.raises(InputsError, match=r"g, r"):
        fitted.sample(np.zeros(shape, np.float32))


def test_invalid_arguments_are_refused(fitted, images):
    with pytest.raises(InputsError, match="scalars"):
        fitted.sample(images[:2], np.zeros((2, 1)))
    with pytest.raises(AstrocnnError, match=r"(?s)views.*'one', 'd4'"):
        predict(fitted, images[:2], views="d5")
    with pytest.raises(AstrocnnError, match="`draws` must be an integer >= 0"):
        predict(fitted, images[:2], draws=-1)


def test_an_untrained_estimator_is_refused(leaf, task, inputs, images, tmp_path):
    with pytest.raises(AstrocnnError, match="not been trained"):
        leaf.example(task, inputs).sample(images)
    with pytest.raises(AstrocnnError, match="not been trained"):
        leaf.example(task, inputs).save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_saved_estimator_predicts_the_same(fitted, images, drawn, tmp_path):
    fitted.save(tmp_path / "model")
    fitted.save(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    again = load_estimator(tmp_path / "model")
    assert type(again) is type(fitted)
    assert again.task == fitted.task
    assert again.inputs == fitted.inputs
    assert again.precision == fitted.precision
    _same(drawn, predict(again, images, draws=DRAWS, seed=7))


def test_a_folder_without_an_estimator_is_refused(tmp_path):
    with pytest.raises(AstrocnnError, match="There is no estimator"):
        load_estimator(tmp_path)
