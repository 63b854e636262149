"""Weighted sums and means of the objective against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from astrocnn.errors import TrainingError
from astrocnn.training import Objective
from astrocnn.training.objective import EpochSums, build_non_finite_error, mask_labels

Y = {
    "a": np.array([[1.0], [2.0], [np.nan], [4.0]], "f4"),
    "b": np.array([[0, 1], [1, 0], [0, 1], [1, 0]], "f4"),
}
WEIGHTS = {"a": np.array([1, 0.5, 0, 2], "f4"), "b": np.array([1, 1, 0, 1], "f4")}
RAW = {
    "a": tf.constant([[0.0], [0.0], [0.0], [1.0]]),
    "b": tf.constant([[0.5, 0.5]] * 4),
    "a_extra": tf.constant([[1.0], [1.0], [1.0], [1.0]]),
}


def square(encoded, raw):
    return tf.reduce_sum((encoded - raw) ** 2, axis=-1)


def absolute(encoded, raw):
    return tf.reduce_sum(tf.abs(encoded - raw), axis=-1)


LOSSES = {"a": square, "b": square}


def vector_of(objective, training=False, bad=(0.0, 0.0)):
    """What a step returns: sums, weights, no penalty, and the counts of bad values."""
    weighted, totals = objective.sums(Y, WEIGHTS, RAW, training)
    return np.array([*map(float, weighted), *map(float, totals), 0.0, *bad])


def test_missing_labels_do_not_enter_the_sums():
    weight, encoded = mask_labels(Y, WEIGHTS, "a")
    np.testing.assert_array_equal(weight, [1, 0.5, 0, 2])
    np.testing.assert_array_equal(encoded, [[1], [2], [0], [4]])


def test_sums_are_weighted_over_the_objects():
    weighted, totals = Objective(LOSSES).sums(Y, WEIGHTS, RAW, training=True)
    # a: 1 * 1 + 0.5 * 4 + 2 * 9; b: three objects with 0.25 + 0.25.
    np.testing.assert_allclose(weighted, [21.0, 1.5])
    np.testing.assert_allclose(totals, [3.5, 3.0])


def test_class_weights_count_in_training_only():
    objective = Objective(LOSSES, class_weights={"b": np.array([3.0, 0.0])})
    weighted, totals = objective.sums(Y, WEIGHTS, RAW, training=True)
    # The objects of class 0 are numbers 1 and 3.
    np.testing.assert_allclose([weighted[1], totals[1]], [3.0, 6.0])
    weighted, totals = objective.sums(Y, WEIGHTS, RAW, training=False)
    np.testing.assert_allclose([weighted[1], totals[1]], [1.5, 3.0])


def test_a_single_column_has_class_weights_for_no_and_yes():
    y = {"b": np.array([[1.0], [0.0], [0.25]], "f4")}
    weights = {"b": np.ones(3, "f4")}
    raw = {"b": tf.zeros((3, 1))}
    objective = Objective({"b": absolute}, class_weights={"b": np.array([1.0, 5.0])})
    _, (total,) = objective.sums(y, weights, raw, training=True)
    assert float(total) == pytest.approx(5 + 1 + (0.75 * 1 + 0.25 * 5))


def test_means_of_an_epoch_are_those_over_all_objects_of_all_batches():
    objective = Objective(LOSSES, loss_weights={"b": 4.0}, metrics={"a": {"mae": absolute}})
    sums = EpochSums(objective)
    for _ in range(3):
        sums.add(vector_of(objective))
    assert sums.fetch() is None and sums.steps == 3 and not sums.pending
    row = sums.compute_means("val_")
    # The mean absolute deviation of a: (1 + 0.5 * 2 + 2 * 3) / 3.5.
    expected = {
        "val_loss": 6.0 + 4 * 0.5,
        "val_a_loss": 6.0,
        "val_b_loss": 0.5,
        "val_a_mae": 8 / 3.5,
    }
    assert row == pytest.approx(expected)
    assert sums.labelled == pytest.approx(3 * (3.5 + 3.0))


def test_the_loss_of_one_target_has_one_column():
    objective = Objective({"a": square})
    row = EpochSums(objective, vector_of(objective)).compute_means()
    assert row == pytest.approx({"loss": 6.0})


def test_a_target_without_labels_leaves_the_loss_of_the_others():
    objective = Objective(LOSSES)
    vector = vector_of(objective)
    vector[[1, 3]] = 0.0
    row = EpochSums(objective, vector).compute_means()
    assert row["loss"] == pytest.approx(6.0) and np.isnan(row["b_loss"])


def test_auxiliary_outputs_are_trained_on_the_labels_of_their_target_and_not_validated():
    objective = Objective(LOSSES, loss_weights={"a_extra": 0.3}, auxiliary={"a_extra": "a"})
    assert objective.outputs == ("a", "b", "a_extra")
    row = EpochSums(objective, vector_of(objective)).compute_means()
    # a_extra: (0 + 0.5 * 1 + 2 * 9) / 3.5.
    assert row["a_extra_loss"] == pytest.approx(18.5 / 3.5)
    assert row["loss"] == pytest.approx(6.0 + 0.5 + 0.3 * 18.5 / 3.5)
    assert objective.without_auxiliary.outputs == ("a", "b")


def test_the_penalty_is_averaged_over_the_steps():
    objective = Objective(LOSSES)
    sums = EpochSums(objective)
    for penalty in (1.0, 3.0):
        vector = vector_of(objective)
        vector[-3] = penalty
        sums.add(vector)
    sums.fetch()
    assert sums.compute_means()["loss"] == pytest.approx(6.0 + 0.5 + 2.0)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({-2: 7.0}, "7 input values(.|\n)*Normalization"),
        ({-1: 2.0}, "2 label values(.|\n)*weight 0"),
        ({0: np.nan}, "weights have diverged(.|\n)*lower learning rate"),
        ({-2: 1.0, 0: np.nan}, "1 input values"),
    ],
)
def test_the_first_batch_that_is_not_finite_is_named_with_its_cause(values, words):
    objective = Objective(LOSSES)
    sums = EpochSums(objective)
    for number in range(4):
        vector = vector_of(objective)
        if number >= 2:
            for place, value in values.items():
                vector[place] = value
        sums.add(vector)
    step, bad = sums.fetch()
    assert step == 2
    error = build_non_finite_error(bad, "training", 5, step + 1, 0.01, "float32")
    assert isinstance(error, TrainingError)
    with pytest.raises(TrainingError, match=f"epoch 5, batch 3(.|\n)*{words}"):
        raise error


def test_bfloat16_is_among_the_suspects_only_where_it_is_used():
    vector = np.array([np.nan, 1.0, 0.0, 0.0, 0.0])
    texts = [
        str(build_non_finite_error(vector, "training", 1, 1, 0.01, precision))
        for precision in ("float32", "bfloat16")
    ]
    assert "float32" not in texts[0] and "precision float32" in texts[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss_weights": {"c": 1.0}}, r"loss weight(.|\n)*c"),
        ({"metrics": {"c": {}}}, r"metrics(.|\n)*c"),
        ({"auxiliary": {"d": "a"}}, r"auxiliary loss(.|\n)*d"),
        ({"auxiliary": {"a": "c"}}, r"auxiliary loss(.|\n)*c"),
    ],
)
def test_names_that_the_network_does_not_have_are_refused(options, words):
    with pytest.raises(TrainingError, match=words):
        Objective(LOSSES, **options).check(("a", "b"))


def test_a_network_without_named_outputs_is_refused():
    with pytest.raises(TrainingError, match="a dict of target to tensor"):
        Objective(LOSSES).check(())
