"""Every method: classes and numbers, from a table without images."""

from __future__ import annotations

import json
from threading import get_ident

import numpy as np
import pytest
from astropy.table import Table
from scipy.special import ndtr
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from threadpoolctl import threadpool_info, threadpool_limits

from astrocnn import plugins
from astrocnn.catalog import Catalog
from astrocnn.datasets import Shards, write_shards
from astrocnn.errors import ConfigError, ModelError, TrainingError
from astrocnn.estimators import ClassicalEstimator, load_estimator, methods
from astrocnn.estimators.classical import METHODS
from astrocnn.imaging import Inputs, NoImages
from astrocnn.metrics import deviation, outlier_fraction, sigma_mad
from astrocnn.targets import Binned, Family, Gaussian, Mixture, Target, Task, make

NAMES = plugins.module_names(METHODS)
OF_NUMBERS = tuple(n for n in NAMES if hasattr(plugins.load_module(METHODS, n), "predict_values"))
N, TRAIN, TEST = 1200, np.arange(900), np.arange(900, 1200)
INPUTS = Inputs((), 0, scalars=("a", "b"))
KIND = make("morphology", classes=("none", "low", "high"), column="kind")
NOISE = 0.05
QUICK = {"random_forest": {"trees": 40}, "boosted_trees": {"rounds": 60}}


def number(family: Family | None = None) -> Task:
    return Task("photoz", (Target("z", family or Binned(0.0, 1.0, 100), "z"),), "z.sigma_mad")


def truth(a: np.ndarray) -> np.ndarray:
    return 0.5 + 0.25 * np.tanh(a)


@pytest.fixture(scope="module")
def table() -> Table:
    rng = np.random.default_rng(5)
    a, b = rng.normal(3.0, 1.0, N), rng.normal(-20.0, 7.0, N)
    p_high = ndtr(2 * (a - 3))
    kind = np.where(rng.random(N) < p_high, "high", "low")
    z = truth(a - 3) + rng.normal(0, NOISE, N)
    return Table({"id": np.arange(N), "a": a, "b": b, "kind": kind, "z": z, "p_high": p_high})


@pytest.fixture(scope="module")
def shards(table, tmp_path_factory) -> Shards:
    folder = tmp_path_factory.mktemp("table")
    return write_shards(folder, Catalog.from_table(table, missing=()), NoImages(N), INPUTS)


def scalars(shards: Shards, rows: np.ndarray = TEST) -> np.ndarray:
    return shards.scalars(INPUTS.scalars)[rows]


def fit(method: str, task: Task, shards: Shards, **options) -> ClassicalEstimator:
    options = {**QUICK.get(method, {}), **options}
    return ClassicalEstimator(task, INPUTS, method, options=options, seed=1).fit(shards, TRAIN)


@pytest.mark.parametrize("method", NAMES)
def test_probabilities_are_near_the_true_ones(method, shards, table, tmp_path):
    estimator = fit(method, KIND, shards)
    p = estimator.sample(None, scalars(shards))["morphology"][0]
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    assert (p[:, 0] == 0).all()  # no training object is of that class
    assert np.abs(p[:, 2] - table["p_high"][TEST]).mean() < 0.09
    estimator.save(tmp_path / "model")
    again = load_estimator(tmp_path / "model")
    assert again.fingerprint == estimator.fingerprint
    np.testing.assert_array_equal(again.sample(None, scalars(shards))["morphology"][0], p)


@pytest.mark.parametrize("method", OF_NUMBERS)
def test_densities_are_calibrated_and_as_wide_as_the_noise(method, shards, table, tmp_path):
    estimator = fit(method, number(), shards)
    family = estimator.task.targets[0].family
    masses = estimator.sample(None, scalars(shards))["z"]
    predicted = family.summarize(masses)
    error = predicted["mean"] - truth(table["a"][TEST] - 3)
    assert np.sqrt(np.mean(error**2)) < 0.6 * NOISE
    pit = np.sort(family.cumulative(masses, np.asarray(table["z"][TEST]))[0])
    steps = (np.arange(len(TEST)) + 0.5) / len(TEST)
    assert np.abs(pit - steps).max() < 1.63 / np.sqrt(len(TEST))  # KS test, 1 percent
    assert 0.9 * NOISE < np.median(predicted["std"]) < 1.35 * NOISE
    estimator.save(tmp_path / "model")
    again = load_estimator(tmp_path / "model").sample(None, scalars(shards))["z"]
    np.testing.assert_array_equal(again, masses)


@pytest.mark.parametrize("family", [Gaussian(0.0, 1.0, relative_errors=True), Mixture(0.0, 1.0)])
def test_every_family_has_the_moments_of_the_method(family, shards):
    x = scalars(shards)
    predicted = [
        t.targets[0].family.summarize(fit("knn", t, shards).sample(None, x)["z"])
        for t in (number(family), number())
    ]
    for name in ("mean", "std"):
        np.testing.assert_allclose(predicted[0][name], predicted[1][name], atol=0.01)


@pytest.mark.parametrize("method", NAMES)
def test_predictions_do_not_depend_on_the_number_of_threads(method, shards, table, monkeypatch):
    task = number() if method in OF_NUMBERS else KIND
    options = {"random_forest": {"trees": 8}, "boosted_trees": {"rounds": 4}}.get(method, {})
    rows = np.concatenate([TEST, TRAIN, TEST])  # three blocks

    def predicted(threads: int) -> np.ndarray:
        monkeypatch.setattr(methods, "_count_processors", lambda: threads)
        estimator = fit(method, task, shards, **options)
        return estimator.sample(None, scalars(shards, rows))[task.targets[0].name]

    np.testing.assert_array_equal(predicted(1), predicted(3))


def test_number_of_threads(monkeypatch):
    def openmp() -> int:
        return min(i["num_threads"] for i in threadpool_info() if i["user_api"] == "openmp")

    with threadpool_limits(1):
        assert methods._count_processors() == 1
    monkeypatch.setattr(methods, "_count_processors", lambda: 4)
    for numbers, expected in ((1000, 1), (3_000_000, 3), (10**9, 4)):
        with methods.threads_for_numbers(numbers):
            assert openmp() == expected
    seen = methods.map_in_threads(lambda k: (k, openmp(), get_ident()), range(8))
    assert [k for k, _, _ in seen] == list(range(8)) and {n for _, n, _ in seen} == {1}
    assert get_ident() not in {thread for _, _, thread in seen}


@pytest.mark.parametrize("method", NAMES)
def test_a_prediction_does_not_depend_on_other_rows(method, shards):
    task = number() if method in OF_NUMBERS else KIND
    estimator = fit(method, task, shards)
    x = scalars(shards, np.arange(N))
    (whole,) = estimator.sample(None, x).values()
    (backwards,) = estimator.sample(None, x[::-1]).values()
    np.testing.assert_array_equal(whole, backwards[:, ::-1])
    for rows in ([5], [700, 2, 3]):
        (alone,) = estimator.sample(None, x[rows]).values()
        np.testing.assert_array_equal(whole[:, rows], alone)


def test_neighbors_are_those_of_standardized_scalars(shards, table):
    estimator = fit("knn", KIND, shards, neighbors=9)
    x = np.column_stack([table["a"], table["b"]]).astype(np.float32).astype(np.float64)
    z = (x - x[TRAIN].mean(axis=0)) / x[TRAIN].std(axis=0)
    oracle = KNeighborsClassifier(9).fit(z[TRAIN], table["kind"][TRAIN] == "high")
    expected = (9 * oracle.predict_proba(z[TEST])[:, 1] + 0.5) / 10
    found = estimator.sample(None, scalars(shards))["morphology"][0, :, 2]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_forest_is_the_mean_of_its_trees(shards):
    """Meinshausen 2006: the mean of the weighted values is the prediction of the forest."""
    estimator = fit("random_forest", number(), shards, trees=20)
    state = estimator.states_["z"]["state"]
    method = plugins.load_module(METHODS, "random_forest")
    x = estimator.inputs.standardize(scalars(shards))
    weights = method._shared_leaves(state, x, slice(None)).toarray()
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    leaves = state["leaves"]
    shared = state["forest"].apply(x[:3])[:, None] == leaves  # object, training object, tree
    expected = (shared / shared.sum(axis=1, keepdims=True)).mean(axis=2)
    np.testing.assert_allclose(weights[:3], expected, atol=1e-12)
    draws = estimator.sample(None, scalars(shards), draws=20)["z"]
    assert draws.shape[0] == 20 and np.ptp(draws.argmax(-1), axis=0).max() > 0
    with pytest.raises(ModelError, match="at most 20"):
        estimator.sample(None, scalars(shards), draws=21)


@pytest.mark.parametrize("method", [n for n in NAMES if n != "random_forest"])
def test_draws_of_a_method_without_any_are_refused(method, shards):
    with pytest.raises(ModelError, match="no draws"):
        fit(method, KIND, shards).sample(None, scalars(shards), draws=2)


def test_rows_without_a_scalar_or_a_label_are_not_used(table, shards, tmp_path):
    holes = table.copy()
    holes["a"][:50] = 99.0
    holes["kind"][50:90] = ""
    with_holes = write_shards(
        tmp_path, Catalog.from_table(holes, missing=(99.0,)), NoImages(N), INPUTS
    )
    some = ClassicalEstimator(KIND, INPUTS, "knn").fit(with_holes, TRAIN)
    x = scalars(with_holes, np.arange(40, N))
    p = some.sample(None, x)["morphology"]
    assert np.isnan(p[0, :10]).all() and np.isfinite(p[0, 10:]).all()
    same_inputs = some.inputs  # fitted on the rows that have a scalar, with or without label
    clean = ClassicalEstimator(KIND, same_inputs, "knn").fit(shards, TRAIN[90:])
    np.testing.assert_array_equal(clean.sample(None, x[10:])["morphology"], p[:, 10:])


def test_invalid_combinations_are_refused(shards):
    with pytest.raises(ConfigError, match="did you mean 'random_forest'"):
        ClassicalEstimator(KIND, INPUTS, "random_forrest")
    with pytest.raises(ConfigError, match="did you mean 'neighbors'"):
        ClassicalEstimator(KIND, INPUTS, "knn", options={"neighbours": 3})
    with pytest.raises(ModelError, match="scalars only"):
        ClassicalEstimator(KIND, Inputs(("g",), 8, scalars=("a",)))
    with pytest.raises(
        ModelError, match=r"(?s)logistic.*Binned.*boosted_trees, knn, random_forest"
    ):
        ClassicalEstimator(number(), INPUTS, "logistic_regression")
    high = np.flatnonzero(shards.column("kind")[0] == "high")
    with pytest.raises(TrainingError, match="one class"):
        ClassicalEstimator(KIND, INPUTS, "knn").fit(shards, high)
    with pytest.raises(TrainingError, match="too few"):
        ClassicalEstimator(KIND, INPUTS, "knn").fit(shards, high[:1])


def test_a_file_with_other_types_is_not_loaded(shards, tmp_path):
    fit("boosted_trees", KIND, shards, rounds=3).save(tmp_path / "model")
    about = tmp_path / "model" / "estimator.json"
    words = {**json.loads(about.read_text()), "method": "knn", "options": {}}
    about.write_text(json.dumps(words))
    with pytest.raises(ModelError, match=r"(?s)holds types.*TreePredictor"):
        load_estimator(tmp_path / "model")
    file = tmp_path / "model" / "model.skops"
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(ModelError, match="cannot be read"):
        load_estimator(tmp_path / "model")


@pytest.mark.real_data
def test_redshifts_of_sdss_galaxies_have_the_published_scatter(real_data, tmp_path):
    """15 neighbors in magnitudes and colors: sigma_MAD about 0.018 (1,000 of 5,000 galaxies)."""
    names = ("zs", "u", "g", "r", "i", "z", "u-g", "g-r", "r-i", "i-z")
    table = Table(np.loadtxt(real_data / "photoz_catalogs" / "SDSS_MGS.train")[:, :10], names=names)
    table["id"] = np.arange(len(table))
    inputs = Inputs((), 0, scalars=names[1:])
    galaxies = write_shards(
        tmp_path, Catalog.from_table(table, id="id"), NoImages(len(table)), inputs
    )
    order = np.random.default_rng(2).permutation(len(table))
    test, train = order[:1000], order[1000:]
    task = make("photoz", column="zs", range=(0.0, 0.4))
    estimator = ClassicalEstimator(task, inputs, "knn").fit(galaxies, train)
    predicted = task.summarize(estimator.sample(None, galaxies.scalars(inputs.scalars)[test]))
    x = np.stack([table[name] for name in names[1:]], axis=1)
    x = (x - x[train].mean(axis=0)) / x[train].std(axis=0)
    oracle = KNeighborsRegressor(15).fit(x[train], table["zs"][train]).predict(x[test])
    z = np.asarray(table["zs"])[test]
    found, expected = (sigma_mad(deviation(point, z)) for point in (predicted["z_mean"], oracle))
    assert 0.015 < found < 0.020
    assert found == pytest.approx(expected, rel=0.03)
    assert outlier_fraction(deviation(predicted["z_mean"], z), 0.05) < 0.03
