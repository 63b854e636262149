"""Which predictions become labels."""

from __future__ import annotations

import numpy as np
import pytest

from astrocnn.errors import TrainingError
from astrocnn.training import select_pseudo_labels


def test_confident_and_certain_predictions_are_selected():
    mean = np.array([[0.97, 0.03], [0.97, 0.03], [0.9, 0.1], [0.02, 0.98], [np.nan, np.nan]])
    deviation = np.array([[0.01] * 2, [0.08] * 2, [0.0] * 2, [0.05] * 2, [0.0] * 2])
    found = select_pseudo_labels(mean, deviation, least=0.95)
    np.testing.assert_array_equal(found.chosen, [0, 3])
    np.testing.assert_array_equal(found.classes, [0, 1])
    np.testing.assert_allclose(found.probability, [0.97, 0.98])
    np.testing.assert_allclose(found.std, [0.01, 0.05])
    assert len(select_pseudo_labels(mean, deviation, least=0.95, largest_std=0.1)) == 3


def test_classes_keep_the_proportions_of_the_labelled_objects():
    """Independent count: as many of each class as the scarcest one allows."""
    rng = np.random.default_rng(0)
    n = np.array([300, 40, 90])
    top = rng.uniform(0.9, 1, n.sum())
    truth = np.repeat(np.arange(3), n)
    mean = np.repeat((1 - top)[:, None] / 2, 3, axis=1)
    mean[np.arange(len(truth)), truth] = top
    found = select_pseudo_labels(mean, np.zeros_like(mean), least=0.9, shares=[10, 5, 5])
    np.testing.assert_array_equal(np.bincount(found.classes), [80, 40, 40])
    for k in range(3):
        # The most probable ones of the class.
        own = np.sort(top[truth == k])[-np.bincount(found.classes)[k] :]
        np.testing.assert_allclose(np.sort(found.probability[found.classes == k]), own)
    assert (np.diff(found.chosen) > 0).all()


def test_a_class_that_is_never_selected_does_not_forbid_the_others():
    mean = np.tile([0.98, 0.01, 0.01], (20, 1))
    found = select_pseudo_labels(mean, np.zeros_like(mean), shares=[1, 1, 1])
    assert len(found) == 20 and (found.classes == 0).all()
    none = select_pseudo_labels(mean, np.ones_like(mean), shares=[1, 1, 1])
    assert len(none) == 0


@pytest.mark.parametrize("least", [0.0, 1.0, 1.5, float("nan")])
def test_the_threshold_is_a_probability(least):
    with pytest.raises(TrainingError, match="between 0 and 1"):
        select_pseudo_labels(np.ones((1, 2)), np.zeros((1, 2)), least=least)
