"""Single classical methods against closed forms and independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from astrocnn.errors import ModelError, TrainingError
from astrocnn.estimators.methods import (
    boosted_trees,
    fit_target,
    knn,
    logistic_regression,
    predict_target,
    random_forest,
    svm,
    validate_target,
)
from astrocnn.targets import Categorical, DirichletMultinomial, Gaussian, Target

KIND = Target("kind", Categorical(("star", "galaxy", "quasar")), "kind")
VOTES = Target("votes", DirichletMultinomial(("a", "b")), ("a", "b"))
Z = Target("z", Gaussian(0.0, 1.0, 100), "z")


@pytest.fixture(scope="module")
def two_classes():
    """Two normal classes of unit width, three apart along the first of two features."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 1500)
    x = rng.normal(size=(1500, 2))
    x[:, 0] += 3 * y - 1.5
    return x.astype(np.float32), y


@pytest.fixture(scope="module")
def line():
    """A number with noise of 0.05 about a line in one of three features."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (1500, 3)).astype(np.float32)
    return x, 0.5 + 0.3 * x[:, 0] + rng.normal(0, 0.05, 1500)


@pytest.mark.parametrize(
    ("method", "tolerance"),
    [(logistic_regression, 0.02), (svm, 0.05), (random_forest, 0.12), (boosted_trees, 0.12)],
    ids=["logistic regression", "SVM", "random forest", "boosted trees"],
)
def test_probabilities_of_two_normal_classes(two_classes, method, tolerance):
    """The true probability is logistic with a slope of three, here also by discriminants."""
    x, y = two_classes
    state = method.fit_classes(x, y, method.OPTIONS, 0)
    new = np.stack([np.linspace(-2, 2, 41), np.zeros(41)], axis=1).astype(np.float32)
    p = method.predict_probabilities(state, new)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    assert np.abs(p[:, 1] - expit(3 * new[:, 0])).mean() < tolerance
    oracle = LinearDiscriminantAnalysis().fit(x, y).predict_proba(new)
    assert np.abs(p - oracle).mean() < tolerance


def test_a_small_c_draws_the_coefficients_to_zero(two_classes):
    x, y = two_classes
    slopes = [
        float(np.abs(logistic_regression.fit_classes(x, y, {"C": c}, 0)["model"].coef_).max())
        for c in (1e-4, 1e-2, 1.0)
    ]
    assert slopes[0] < 0.3 < slopes[1] < slopes[2] == pytest.approx(3, rel=0.1)


def test_probabilities_of_neighbors_by_hand():
    """Three neighbors and one shared by both classes: (count + 1/2) / 4."""
    x = np.array([[0.0], [1], [2], [10], [11], [12]])
    state = knn.fit_classes(x, np.array([0, 0, 1, 1, 1, 1]), {"neighbors": 3}, 0)
    p = knn.predict_probabilities(state, np.array([[0.5], [11.0]]))
    np.testing.assert_allclose(p, [[2.5 / 4, 1.5 / 4], [0.5 / 4, 3.5 / 4]])
    # No more neighbors than there are objects.
    few = knn.fit_classes(x[:2], np.array([0, 1]), {"neighbors": 15}, 0)
    np.testing.assert_allclose(knn.predict_probabilities(few, x[:1]), 0.5)


def test_values_of_neighbors_are_widened_about_their_mean(line):
    x, y = line
    state = knn.fit_values(x, y, {"neighbors": 12}, 0)
    new = np.random.default_rng(2).uniform(-1, 1, (20, 3))
    values = knn.predict_values(state, new)
    assert values.shape == (20, 12 * 9)
    for row, found in zip(new, values, strict=True):
        near = y[np.argsort(((x - row) ** 2).sum(axis=1))[:12]]
        assert found.mean() == pytest.approx(near.mean())
        assert found.std() == pytest.approx(near.std() * np.sqrt(1 + state["width"] ** 2))


def test_a_forest_weighs_training_objects_by_their_common_leaves(line):
    """Meinshausen (2006), equations 4 and 5, by loops over trees."""
    x, y = line
    state = random_forest.fit_values(
        x[:200], y[:200], {"trees": 8, "min_leaf": 5, "max_features": 1.0}, 0
    )
    forest, order = state["forest"], np.argsort(y[:200], kind="stable")
    trained, new = x[:200][order], x[300:310]
    found = random_forest.predict_values(state, new)
    levels = (np.arange(60) + 0.5) / 60
    for row, values in zip(new, found, strict=True):
        weight = np.zeros(200)
        for tree in forest.estimators_:
            same = tree.apply(trained) == tree.apply(row[None])
            weight += same / same.sum() / 8
        used = weight > 0
        cumulative = np.cumsum(weight[used]) - weight[used] / 2
        expected = np.interp(levels, cumulative, y[:200][order][used])
        np.testing.assert_allclose(values, expected, atol=1e-9)
    one = random_forest.predict_values(state, new, member=3)
    assert random_forest.members(state) == 8 and not np.allclose(one, found)


@pytest.mark.parametrize("method", [boosted_trees, svm], ids=["boosted trees", "SVM"])
def test_values_have_the_mean_and_the_width_of_the_noise(line, method):
    x, y = line
    state = method.fit_values(x[:1200], y[:1200], method.OPTIONS, 0)
    values = method.predict_values(state, x[1200:])
    assert values.shape == (300, 100)
    # Every distribution is the same up to location and scale.
    shape = (values - values.mean(axis=1, keepdims=True)) / values.std(axis=1, keepdims=True)
    np.testing.assert_allclose(shape, np.broadcast_to(shape[0], shape.shape), atol=1e-6)
    assert np.median(values.std(axis=1)) == pytest.approx(0.05, rel=0.25)
    inside = (values[:, 15] < y[1200:]) & (y[1200:] < values[:, 84])
    assert inside.mean() == pytest.approx(0.69, abs=4 * np.sqrt(0.69 * 0.31 / 300))


def test_a_rare_class_is_refused_by_the_support_vector_machine(two_classes):
    x, _ = two_classes
    with pytest.raises(TrainingError, match=r"(?s)two objects of each class.*1 of the rarest"):
        svm.fit_classes(x[:50], np.arange(50) == 7, svm.OPTIONS, 0)


def test_absent_classes_have_no_probability(two_classes):
    x, y = two_classes
    encoded = np.eye(3, dtype=np.float32)[2 * y]
    fitted = fit_target(KIND, logistic_regression, x, encoded, {"C": 1.0}, 0)
    np.testing.assert_array_equal(fitted["classes"], [0, 2])
    p = predict_target(KIND, logistic_regression, fitted, x[:9], None)
    assert p.shape == (9, 3) and p.dtype == np.float32
    np.testing.assert_array_equal(p[:, 1], 0)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)


def test_numbers_have_the_moments_of_their_values(line):
    x, y = line
    encoded = y[:, None].astype(np.float32)
    fitted = fit_target(Z, knn, x, encoded, {"neighbors": 20}, 0)
    found = predict_target(Z, knn, fitted, x[:25], None)
    values = knn.predict_values(fitted["state"], x[:25])
    np.testing.assert_allclose(found[:, 0], values.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(found[:, 1], values.std(axis=1), rtol=0.02)


def test_targets_that_a_method_cannot_predict_are_refused():
    with pytest.raises(ModelError, match=r"(?s)'logistic_regression' cannot.*'z'.*boosted_trees"):
        validate_target(Z, logistic_regression)
    with pytest.raises(ModelError, match="cannot predict the target 'votes'"):
        validate_target(VOTES, knn)
    for method in (knn, boosted_trees, random_forest, svm):
        validate_target(Z, method)
        validate_target(KIND, method)


def test_one_class_and_one_object_are_refused(two_classes):
    x, _ = two_classes
    one_class = np.tile(np.eye(3)[1], (20, 1))
    with pytest.raises(TrainingError, match=r"(?s)All labels.*galaxy"):
        fit_target(KIND, knn, x[:20], one_class, knn.OPTIONS, 0)
    with pytest.raises(TrainingError, match="too few labelled objects"):
        fit_target(Z, knn, x[:1], np.array([[0.5]]), knn.OPTIONS, 0)


def test_the_points_of_the_kernel_have_zero_mean_and_unit_width():
    points = knn._POINTS
    assert points.mean() == pytest.approx(0, abs=1e-12)
    assert np.mean(points**2) == pytest.approx(1)
    assert stats.skew(points) == pytest.approx(0, abs=1e-12)
