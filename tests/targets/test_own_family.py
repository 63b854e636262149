"""A distribution in a file outside of the package goes the whole way by its name alone."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest
from astropy.table import Table
from scipy import stats

from astrocnn import plugins
from astrocnn.catalog import Catalog
from astrocnn.datasets import fit_normalization, write_shards
from astrocnn.errors import ConfigError, ModelError
from astrocnn.estimators import KerasEstimator, load_estimator
from astrocnn.evaluation import score
from astrocnn.explain import ExplainTarget, integrated_gradients
from astrocnn.imaging import ArraySource, Inputs
from astrocnn.prediction import predict, read_pdf
from astrocnn.targets import QuantityFamily, make, storage

from . import test_families_contract, test_quantities

LAPLACE = '''
"""A number with a Laplace distribution: errors with heavier tails than normal ones."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from astrocnn.backend import ops
from astrocnn.targets import QuantityFamily


@dataclass(frozen=True)
class Laplace(QuantityFamily):
    """Location and scale, in half ranges from the middle inside of the head."""

    sharpness: float = 1.0

    @property
    def units(self):
        return 2

    @property
    def initial_loss(self):
        return 0.5 * self.sharpness + math.log(2.0 / self.sharpness)

    def _head(self, raw):
        raw = ops.cast(raw, "float32")
        return raw[..., 0], 7.0 * ops.tanh(raw[..., 1] / 7.0) - math.log(self.sharpness)

    def activate(self, raw):
        place, log_scale = self._head(raw)
        half = 0.5 * (self.high - self.low)
        return ops.stack([self.low + half * (1.0 + place), half * ops.exp(log_scale)], axis=-1)

    def loss(self, encoded, raw):
        place, log_scale = self._head(raw)
        half = 0.5 * (self.high - self.low)
        x = (ops.cast(encoded, "float32")[:, 0] - self.low) / half - 1.0
        return ops.abs(x - place) * ops.exp(-log_scale) + log_scale + math.log(2.0)

    def cdf(self, draw, points):
        place, scale = np.moveaxis(np.asarray(draw, np.float64), -1, 0)
        return stats.laplace.cdf(points, place[:, None], scale[:, None])

    def point_estimate(self, parameters):
        return parameters[..., 0]

    def from_values(self, values):
        x = np.clip(np.asarray(values, np.float64), self.low, self.high)
        least = (self.high - self.low) / self.n_bins / 6.0
        scale = np.maximum(x.std(axis=1) / math.sqrt(2.0), least)
        return np.stack([x.mean(axis=1), scale], axis=1).astype(np.float32)


def examples():
    return (Laplace(0.0, 1.0, sharpness=3.0), Laplace(-5.0, 10.0, n_bins=60, sharpness=4.0))
'''

SIZE, BANDS = 32, ("g", "r")
N, TRAIN, VALIDATION = 160, np.arange(120), np.arange(120, 160)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("own") / "laplace.py"
    file.write_text(LAPLACE)
    return file


@pytest.fixture(scope="module")
def laplace(path):
    return plugins.load("families", f"{path}:Laplace", trusted=True)


def contract_tests(module):
    """Tests of a module with one free argument, the family."""
    for name, function in vars(module).items():
        if name.startswith("test_"):
            names = [p for p in inspect.signature(function).parameters if p != "monkeypatch"]
            if names == ["family"]:
                yield function


OF_CLASSES = {
    "test_probabilities_are_converted_both_ways",
    "test_entropies_obey_their_bounds",
    "test_initial_loss_is_that_of_zero_raw_output",
}
CONTRACT = [*contract_tests(test_families_contract), *contract_tests(test_quantities)]


@pytest.mark.parametrize(
    "contract",
    [f for f in CONTRACT if f.__name__ not in OF_CLASSES],
    ids=lambda f: f.__name__,
)
@pytest.mark.parametrize("number", [0, 1])
def test_it_fulfils_the_contract(laplace, number, contract, monkeypatch):
    examples = plugins.declared(laplace, "examples")()
    patched = "monkeypatch" in inspect.signature(contract).parameters
    contract(family=examples[number], **({"monkeypatch": monkeypatch} if patched else {}))


def test_the_density_is_that_of_scipy(laplace):
    family = laplace(0.0, 1.0, n_bins=1000)
    out = family.summarize(np.array([[[0.4, 0.02]]]))
    exact = stats.laplace(0.4, 0.02)
    assert out["mean"][0] == pytest.approx(0.4, abs=1e-5)
    assert out["std"][0] == pytest.approx(exact.std(), rel=1e-3)
    assert out["q16"][0] == pytest.approx(exact.ppf(0.16), abs=1e-4)
    assert out["hdi68_high"][0] == pytest.approx(exact.ppf(0.84), abs=1e-3)


def test_a_run_file_names_it_with_its_own_options(path):
    name = f"{path}:Laplace"
    task = make("photoz", family=name, column="z", range=[0.0, 1.0], sharpness=3.0)
    family = task.target("z").family
    assert (family.sharpness, family.relative_errors) == (3.0, True)
    assert [c.name for c in task.columns()][-3] == "z_odds"
    value = {"column": "w", "range": [0, 9], "family": name, "n_bins": 20}
    width = make("morphology", values={"width": value}).target("width").family
    assert (width.high, width.n_bins, width.relative_errors) == (9.0, 20, False)
    with pytest.raises(ConfigError, match="no option 'sharpnes'") as error:
        make("photoz", family=name, column="z", sharpnes=3.0)
    assert "did you mean 'sharpness'" in str(error.value)
    with pytest.raises(ConfigError, match="family 'laplace' has no option 'components'") as error:
        make("photoz", family=name, column="z", components=3)
    assert 'family = "mixture"' in str(error.value)


def images_and_values(n, seed=0):
    """A round source whose width is the number to predict."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    value = rng.uniform(0.1, 0.9, n)
    width = (1.5 + 6.0 * value)[:, None, None]
    source = 8.0 * np.exp(-(x**2 + y**2) / (2 * width**2))
    images = np.stack([source, 0.7 * source], axis=-1) + 0.1 * rng.normal(size=(n, SIZE, SIZE, 2))
    return images.astype(np.float32), value


@pytest.fixture(scope="module")
def fitted(path, tmp_path_factory):
    images, value = images_and_values(N)
    table = Table({"id": np.arange(N), "z": value})
    inputs = Inputs(BANDS, SIZE, pixel_scale=0.5, unit="nJy")
    shards = write_shards(
        tmp_path_factory.mktemp("shards") / "s",
        Catalog.from_table(table, id="id"),
        ArraySource(images, BANDS, pixel_scale=0.5, unit="nJy"),
        inputs,
    )
    inputs = inputs.with_normalization(fit_normalization(shards, TRAIN, "asinh"))
    task = make("photoz", family=f"{path}:Laplace", column="z", range=[0.0, 1.0], n_bins=50)
    estimator = KerasEstimator(
        task, inputs, "lenet", options={"head_dropout": 0.1}, precision="float32", seed=1
    )
    return estimator.fit(shards, TRAIN, VALIDATION, epochs=12, batch_size=20, strategy="one")


@pytest.fixture(scope="module")
def predicted(fitted, tmp_path_factory):
    images, value = images_and_values(80, seed=9)
    table = Table({"id": np.arange(80), "ra": np.zeros(80), "dec": np.zeros(80)})
    out = tmp_path_factory.mktemp("out") / "predictions.fits"
    source = ArraySource(images, BANDS, pixel_scale=0.5, unit="nJy")
    predict(fitted, Catalog.from_table(table), source, out, draws=5, pdf="float32")
    return out, images, value


def test_it_is_trained_and_predicted_to_a_fits_table(predicted):
    out, _, value = predicted
    table = Table.read(out, hdu="PREDICTIONS")
    assert np.corrcoef(table["z_mean"], value)[0, 1] > 0.8
    np.testing.assert_array_equal(table["id"], np.arange(80))
    assert {"z_mode", "z_median", "z_q16", "z_hdi95_high", "z_odds", "z_std_epistemic"} <= set(
        table.colnames
    )
    assert np.all(table["z_q16"] < table["z_q84"])
    assert np.all(table["z_std_epistemic"] > 0)
    _, grid, density = read_pdf(out, "z")
    assert density.shape == (80, 50)
    np.testing.assert_allclose(density.sum(axis=1) * (grid[1] - grid[0]), 1, atol=1e-5)


def test_it_is_scored_as_a_density(fitted):
    images, value = images_and_values(80, seed=9)
    samples = fitted.sample(images, draws=3)
    encoded, weights = fitted.task.encode({"z": value})
    found = {s.name: s for s in score(fitted.task, encoded, weights, samples, n_resamples=20)}
    assert found["sigma_mad"].value < 0.2
    assert found["crps"].value < 0.15
    assert found["sigma_mad"].n_used == 80


def test_the_saved_model_carries_its_file_and_is_the_same(fitted, path, tmp_path):
    fitted.save(tmp_path / "model")
    copies = list((tmp_path / "model" / plugins.COPIES).glob("*.py"))
    assert [copy.read_text() for copy in copies] == [LAPLACE]
    again = load_estimator(tmp_path / "model")
    images, _ = images_and_values(5, seed=3)
    np.testing.assert_array_equal(again.sample(images)["z"], fitted.sample(images)["z"])
    family = fitted.task.target("z").family
    stored = json.loads(json.dumps(storage.family_to_dict(family)))
    assert storage.family_from_dict(stored, tmp_path / "model") == family
    assert isinstance(family, QuantityFamily)


def test_a_file_that_was_changed_is_not_run(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    (copy,) = (tmp_path / "model" / plugins.COPIES).glob("*.py")
    mark = tmp_path / "ran"
    copy.write_text(LAPLACE + f"\nopen({str(mark)!r}, 'w')\n")
    with pytest.raises(ConfigError, match="not trusted"):
        load_estimator(tmp_path / "model")
    assert not mark.exists()


def test_a_map_explains_its_point_estimate_completely(fitted):
    images, _ = images_and_values(3, seed=4)
    x = fitted.inputs.normalization.apply(images)
    target = ExplainTarget(fitted.task.target("z"))
    assert target.label == "mean of z"
    found = integrated_gradients(fitted.model_, x, target, baseline="zero", steps=32)
    np.testing.assert_allclose(found.score, fitted.sample(images)["z"][0, :, 0], atol=1e-5)
    added = found.attribution.sum(axis=(1, 2, 3))
    np.testing.assert_allclose(added, found.score - found.baseline_score, atol=5e-3)


def test_its_point_estimate_can_be_explained(laplace):
    family = laplace(0.0, 1.0)
    raw = np.array([[0.1, 0.0], [-0.4, 1.0]], np.float32)
    assert family.validate_part(None) is None
    np.testing.assert_allclose(np.asarray(family.explained(raw)), [0.55, 0.3], rtol=1e-6)
    assert family.part_label("z", None) == "mean of z"
    with pytest.raises(ModelError, match="does not define the probability in an interval"):
        family.explained(raw, (0.1, 0.2))
