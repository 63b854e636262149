from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocnn.errors import TrainingError
from astrocnn.training import compute_class_weights


@given(st.lists(st.integers(1, 200), min_size=2, max_size=5), st.sampled_from([0.0, 0.9, 0.999, 1]))
def test_weights_follow_the_effective_number_and_average_to_one(counts, beta):
    encoded = np.repeat(np.eye(len(counts)), counts, axis=0)
    weights = compute_class_weights(encoded, beta=beta)
    assert (encoded @ weights).mean() == pytest.approx(1.0)
    n = np.array(counts)
    # Cui et al. 2019, equation 2, as the geometric sum that it is.
    effective = np.array([np.sum(float(beta) ** np.arange(c)) for c in n])
    np.testing.assert_allclose(weights * effective, (weights * effective)[0], rtol=1e-9)


def test_objects_without_a_label_do_not_count():
    encoded = np.array([[1, 0], [0, 1], [np.nan, np.nan], [1, 0]])
    with_missing = compute_class_weights(encoded, np.array([1, 1, 0, 0]))
    np.testing.assert_allclose(with_missing, [1.0, 1.0])


def test_a_single_column_has_a_weight_for_no_and_for_yes():
    np.testing.assert_allclose(
        compute_class_weights(np.array([[0], [0], [0], [1.0]])), [2 / 3, 2.0]
    )


def test_a_class_without_objects_has_weight_zero():
    np.testing.assert_allclose(compute_class_weights(np.array([[1, 0, 0], [0, 1, 0]])), [1, 1, 0])


def test_no_label_at_all_is_refused():
    with pytest.raises(TrainingError, match="No object has a label"):
        compute_class_weights(np.ones((3, 2)), np.zeros(3))
    with pytest.raises(TrainingError, match="beta"):
        compute_class_weights(np.ones((3, 2)), beta=1.5)
