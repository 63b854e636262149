"""Batches: every row once an epoch, with its own label, reproducibly."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from astrocnn.datasets import D4, Noise, Rotation, build_dataset, fit_normalization, get_d4_views
from astrocnn.errors import CatalogError, ConfigError, InputsError
from astrocnn.imaging import Inputs, Normalization
from astrocnn.targets.tasks.morphology import task as morphology

from .conftest import BANDS, INPUTS, N

TASK = morphology(classes=("elliptical", "spiral"), column="kind")
ROWS = np.array([i for i in range(N) if i not in (4, 8)])
RAW = INPUTS.with_normalization(Normalization.identity(3))


def collect(data) -> list:
    return [tf.nest.map_structure(lambda t: t.numpy(), batch) for batch in data]


def identify(batches: list, images: np.ndarray) -> list[int]:
    """Catalogue rows by the first band, which each image has to itself (5 and 6 are twins)."""
    keys = {np.nan_to_num(image).tobytes(): i for i, image in enumerate(images)}
    return [keys[image.tobytes()] for x, _, _ in batches for image in x["image"]]


def test_batches_in_order_carry_their_labels_and_scalars(shards, images, catalog) -> None:
    data = build_dataset(shards, ROWS[::-1], TASK, RAW, batch_size=20)
    batches = collect(data)
    assert len(data) == 3 and [len(x["image"]) for x, _, _ in batches] == [20, 20, 8]
    got = np.concatenate([x["image"] for x, _, _ in batches])
    np.testing.assert_array_equal(got, np.nan_to_num(images[ROWS[::-1]]))
    scalars = np.concatenate([x["scalars"] for x, _, _ in batches])
    np.testing.assert_allclose(scalars[:, 0], catalog.table["EBV"][ROWS[::-1]], rtol=1e-6)
    y = np.concatenate([y["morphology"] for _, y, _ in batches])
    w = np.concatenate([w["morphology"] for _, _, w in batches])
    spiral = ROWS[::-1] % 3 == 0
    known = ROWS[::-1] != 9
    np.testing.assert_array_equal(w, known)
    np.testing.assert_array_equal(y[known, 1], spiral[known])


def test_normalized_is_what_the_normalization_says(shards, images) -> None:
    for options in ({}, {"mask_channel": True}, {"whiten": True}):
        normalization = fit_normalization(shards, ROWS, "asinh", **options)
        inputs = INPUTS.with_normalization(normalization)
        data = build_dataset(shards, ROWS, None, inputs, batch_size=7)
        got = np.concatenate([x["image"] for x in collect(data)])
        np.testing.assert_allclose(got, normalization.apply(images[ROWS]), atol=1e-6)
        assert data.element_spec["image"].shape == (None, *inputs.shape)


def test_every_epoch_has_each_row_once_in_another_order(shards, images) -> None:
    data = build_dataset(shards, ROWS, TASK, RAW, batch_size=9, shuffle=True, seed=1)
    epochs = [identify(collect(data), images) for _ in range(3)]
    twins = {5: 6}
    want = sorted(twins.get(i, i) for i in ROWS.tolist())
    for order in epochs:
        assert sorted(order) == want
    assert epochs[0] != epochs[1] != epochs[2] != want
    again = build_dataset(shards, ROWS, TASK, RAW, batch_size=9, shuffle=True, seed=1)
    assert [identify(collect(again), images) for _ in range(2)] == epochs[:2]
    later = build_dataset(
        shards, ROWS, TASK, RAW, batch_size=9, shuffle=True, seed=1, first_epoch=2
    )
    assert identify(collect(later), images) == epochs[2]
    other = build_dataset(shards, ROWS, TASK, RAW, batch_size=9, shuffle=True, seed=2)
    assert identify(collect(other), images) != epochs[0]


@pytest.mark.parametrize("steps", [[D4()], [D4(), Noise(0.1, (1.0, 1.0, 1.0))], [Rotation()]])
def test_augmentation_is_new_in_every_epoch_and_reproducible(shards, steps) -> None:
    def run(first_epoch: int = 0):
        return build_dataset(
            shards,
            ROWS,
            None,
            RAW,
            batch_size=10,
            augmentation=steps,
            seed=3,
            first_epoch=first_epoch,
        )

    def images_of(data) -> np.ndarray:
        return np.concatenate([x["image"] for x in collect(data)])

    data = run()
    first, second = images_of(data), images_of(data)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(images_of(run()), first)
    np.testing.assert_array_equal(images_of(run(1)), second)


def test_d4_on_the_way_in_is_d4_in_the_graph(shards, images) -> None:
    """The fast path gives the images the step itself gives, also with others behind it."""
    from astrocnn.datasets.augmentation import compose
    from astrocnn.datasets.pipeline import _batches_of_indices

    for steps in ([D4()], [D4(reflections=False), Noise(0.5, (1.0, 1.0, 1.0))]):
        data = build_dataset(
            shards, ROWS, None, RAW, batch_size=10, augmentation=steps, shuffle=True, seed=3
        )
        batches = _batches_of_indices(len(ROWS), 10, True, 3, 0)
        for x, (chosen, seed) in zip(collect(data), batches, strict=True):
            want = compose(steps)(tf.constant(images[ROWS[chosen.numpy()]]), seed).numpy()
            np.testing.assert_allclose(x["image"], np.nan_to_num(want), atol=1e-6)


def test_all_eight_views_come_out_of_the_pipeline(shards, images) -> None:
    data = build_dataset(shards, [10] * 400, None, RAW, batch_size=64, augmentation={"d4": True})
    views = [v[0].tobytes() for v in map(np.ascontiguousarray, get_d4_views(images[[10]]))]
    got = [views.index(image.tobytes()) for x in collect(data) for image in x["image"]]
    counts = np.bincount(got, minlength=8)
    assert ((counts - 50) ** 2 / 50).sum() < 24.3  # TRAPS 5; chi-square, 7 degrees, p = 0.001


def test_dropped_bands_are_filled_and_masked_as_missing_ones(shards) -> None:
    normalization = fit_normalization(shards, ROWS, "linear", mask_channel=True)
    inputs = INPUTS.with_normalization(normalization)
    data = build_dataset(shards, ROWS, None, inputs, augmentation={"band_dropout": 0.5})
    x = collect(data)[0]["image"]
    gone = (x[..., 3:] == 0).all(axis=(1, 2))
    assert 0.3 < gone.mean() < 0.6
    assert (x[..., :3].transpose(0, 3, 1, 2)[gone] == 0).all()


def test_weights_multiply(shards) -> None:
    factors = {"morphology": np.linspace(1, 2, len(ROWS))}
    data = build_dataset(shards, ROWS, TASK, RAW, batch_size=64, weights=factors)
    w = collect(data)[0][2]["morphology"]
    np.testing.assert_allclose(w, np.where(ROWS == 9, 0, factors["morphology"]), rtol=1e-6)
    with pytest.raises(ConfigError, match="does not have"):
        build_dataset(shards, ROWS, TASK, RAW, weights={"color": np.ones(len(ROWS))})


def test_a_keras_model_trains_on_it(shards) -> None:
    import keras

    image = keras.Input((12, 12, 3), name="image")
    scalars = keras.Input((1,), name="scalars")
    joined = keras.layers.Concatenate()([keras.layers.Flatten()(image), scalars])
    head = keras.layers.Dense(2, name="morphology")(joined)
    model = keras.Model({"image": image, "scalars": scalars}, {"morphology": head})
    model.compile("sgd", {"morphology": keras.losses.CategoricalCrossentropy(from_logits=True)})
    data = build_dataset(
        shards, ROWS, TASK, RAW, batch_size=16, augmentation={"d4": True, "shift": 1.0}
    )
    history = model.fit(data, epochs=2, verbose=0, shuffle=False).history["loss"]
    assert len(history) == 2 and np.isfinite(history).all()


def test_refusals(shards) -> None:
    with pytest.raises(InputsError, match="carry no normalization"):
        build_dataset(shards, ROWS, TASK, INPUTS)
    with pytest.raises(InputsError, match="expected g, i"):
        build_dataset(shards, ROWS, TASK, Inputs(("g", "i"), 12))
    with pytest.raises(ConfigError, match="at least one row"):
        build_dataset(shards, ROWS[:0], TASK, RAW)
    with pytest.raises(ConfigError, match="`batch_size` must be at least 1; got 0"):
        build_dataset(shards, ROWS, TASK, RAW, batch_size=0)
    with pytest.raises(CatalogError, match="type"):
        build_dataset(shards, ROWS, morphology(classes=("a", "b"), column="type"), RAW)
    handed = morphology(classes=("elliptical", "spiral"), column="kind", symmetric=False)
    with pytest.raises(ConfigError, match="handedness"):
        build_dataset(shards, ROWS, handed, RAW, augmentation=[D4()])
    assert RAW.bands == BANDS
