from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from astrocnn.calibration import (
    ConformalIntervals,
    ConformalSets,
    Novelty,
    PitRemap,
    Temperature,
    calibrate,
    read,
    remap_held_out,
    write,
)
from astrocnn.calibration._fitting import compute_expected_scores, compute_scores
from astrocnn.errors import ModelError, PredictionError
from astrocnn.targets import Bernoulli, Target, Task

from .conftest import KIND, TASK, Z, classes, gaussians

ESTIMATOR = SimpleNamespace(task=TASK, fingerprint="ab" * 32)


def _validation(n=2400, seed=0):
    p, kind = classes(n, 2.0, draws=3, spread=0.2, seed=seed)
    g, z = gaussians(n, 2.0, draws=3, seed=seed)
    weights = {"kind": np.ones(n, np.float32), "z": np.ones(n, np.float32)}
    weights["z"][::5] = 0
    return {"kind": p, "z": g}, {"kind": kind, "z": z}, weights


@pytest.fixture(scope="module")
def calibration():
    made = calibrate(ESTIMATOR, *_validation())
    # An extra with arrays, as a file of extras may hold one.
    features = np.random.default_rng(0).normal(size=(240, 4))
    return replace(made, extras=(*made.extras, Novelty.fit(features, features)))


def test_each_target_has_the_remap_of_its_family(calibration):
    assert {name: type(r) for name, r in calibration.remaps.items()} == {
        "kind": Temperature,
        "z": PitRemap,
    }
    assert [type(e) for e in calibration.extras] == [ConformalSets, ConformalIntervals, Novelty]
    assert calibration.model == ESTIMATOR.fingerprint


def test_the_table_agrees_with_new_objects(calibration):
    table = {(row["target"], row["score"]): row for row in calibration.table}
    ece = table["kind", "ece"]
    assert ece["before"] > 0.08 > 1.4 * ece["expected"] > ece["after"]
    assert table["z", "pit_ks"]["expected"] == pytest.approx(0.8687 / np.sqrt(960), rel=1e-3)
    assert table["kind", "nll"]["expected"] is None
    assert table["kind", "nll"]["after"] < table["kind", "nll"]["before"]
    assert table["z", "pit_ks"]["after"] < 0.05 < 0.1 < table["z", "pit_ks"]["before"]
    assert table["z", "crps"]["after"] < table["z", "crps"]["before"]
    for level in (68, 95):
        name = f"coverage_{level}"
        assert abs(table["z", name]["before"] - level / 100) > 0.1
        assert table["z", name]["after"] == pytest.approx(level / 100, abs=0.03)
        kept = table["z", f"conf{level}_coverage"]
        assert kept["before"] is None
        assert kept["after"] == pytest.approx(level / 100, abs=0.03)
    assert table["kind", "set90_coverage"]["after"] == pytest.approx(0.9, abs=0.03)
    assert table["kind", "ece"]["n"] == 1200
    assert table["z", "crps"]["n"] == 960
    # The sets and intervals are for remapped samples, and so hold on fresh ones.
    samples, encoded, _ = _validation(4000, seed=7)
    remap = calibration.remaps["kind"]
    p = remap.apply(KIND.family, samples["kind"]).mean(axis=0)
    (inside,) = calibration.extras[0].members(p)
    assert inside[encoded["kind"] > 0].mean() == pytest.approx(0.9, abs=0.03)


def test_expected_scores_equal_those_of_calibrated_samples():
    found, expected = [], []
    for seed in range(40):
        samples, y = classes(300, 1.0, seed=seed)
        found.append(compute_scores(KIND.family, y, samples)["ece"])
        expected.append(compute_expected_scores(KIND.family, samples)["ece"])
    assert np.mean(found) == pytest.approx(np.mean(expected), rel=0.06)


def test_held_out_objects_are_remapped_by_a_fit_on_the_others():
    samples, encoded, weights = _validation(400)
    y, p, w = encoded["kind"], samples["kind"], weights["kind"].copy()
    w[:3] = 0
    scored, out = remap_held_out(Temperature, KIND.family, y, w, p, seed=4)
    assert len(scored) in (198, 199) and scored.min() >= 3
    fitted = np.setdiff1d(np.arange(3, 400), scored)
    remap = Temperature.fit(KIND.family, y[fitted], w[fitted], p[:, fitted])
    np.testing.assert_array_equal(out, remap.apply(KIND.family, p[:, scored]))


def test_the_coverage_of_the_table_scatters_as_binomial_numbers():
    """Coverage of the other half scatters as binomial numbers; that of the same would not."""
    coverage = []
    for seed in range(16):
        samples, encoded, weights = _validation(250, seed=seed)
        found = calibrate(ESTIMATOR, samples, encoded, weights)
        coverage += [r["after"] for r in found.table if r["score"] == "conf68_coverage"]
    # fitted on 100 objects, scored on 100.
    expected = np.sqrt(2 * 0.68 * 0.32 / 100)
    assert np.std(coverage) == pytest.approx(expected, rel=0.45)
    assert np.mean(coverage) == pytest.approx(0.68, abs=3 * expected / 4)


def test_one_target_in_two_classes_and_one_rare_class():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.01, 0.4, 300).astype(np.float32)
    y = (rng.random(300) < p / 10).astype(np.float32)[:, None]
    task = Task("q", (Target("bad", Bernoulli(), "bad"),), "bad.auc")
    estimator = SimpleNamespace(task=task, fingerprint="00")
    found = calibrate(
        estimator, {"bad": p[None, :, None]}, {"bad": y}, {"bad": np.ones(300)}, set_levels=(0.9,)
    )
    # Too few are bad for a promise in each class: one cutoff serves both.
    assert len(set(found.extras[0].cutoffs[0])) == 1


def test_too_few_rows_are_refused():
    samples, encoded, weights = _validation(240)
    with pytest.raises(PredictionError, match=r"(?s)'z'.*192 objects.*200 or more"):
        calibrate(ESTIMATOR, samples, encoded, weights)
    weights["kind"][99:] = 0
    with pytest.raises(PredictionError, match=r"(?s)'kind'.*99 objects.*100 or more"):
        calibrate(ESTIMATOR, samples, encoded, weights)


def test_written_and_read_it_is_the_same(calibration, tmp_path):
    path = tmp_path / "run" / "calibration.json"
    calibration = replace(calibration, notes=("z: unchanged",))
    write(path, calibration)
    found = read(path, calibration.model)
    assert found.remaps == calibration.remaps
    assert found.extras[:2] == calibration.extras[:2]
    assert found.extras[2].fingerprint == calibration.extras[2].fingerprint
    assert list(found.table) == list(calibration.table)
    assert found.notes == calibration.notes
    assert len(list(path.parent.iterdir())) == 2
    json.loads(path.read_text(), parse_constant=pytest.fail)
    without = type(calibration)(calibration.model, calibration.remaps, calibration.extras[:2])
    write(path, without)
    assert [p.name for p in path.parent.iterdir()] == ["calibration.json"]
    assert read(path) == without


def test_another_model_or_a_damaged_file_is_refused(calibration, tmp_path):
    path = tmp_path / "calibration.json"
    with pytest.raises(ModelError, match="cannot be read"):
        read(path)
    write(path, calibration)
    with pytest.raises(ModelError, match=r"(?s)another model.*calibrate again"):
        read(path, "cd" * 32)
    (arrays,) = tmp_path.glob("*.npz")
    arrays.write_bytes(arrays.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"npz' cannot be read"):
        read(path)
    content = json.loads(path.read_text())
    for change in (
        {"extras": [{"kind": "temperature", "class": "np"}]},
        {"remaps": {"kind": {"kind": "os", "class": "Temperature"}}},
        {"format": 2},
    ):
        path.write_text(json.dumps({**content, "arrays": None, "extras": [], **change}))
        with pytest.raises(ModelError, match="cannot be read"):
            read(path)


def test_a_target_without_a_suitable_remap_is_unchanged():
    task = Task("z", (Z,), "z.crps")
    other = SimpleNamespace(name="x", family=object())
    estimator = SimpleNamespace(
        task=SimpleNamespace(targets=(other, *task.targets)), fingerprint=""
    )
    samples, encoded, weights = _validation(600)
    assert set(calibrate(estimator, samples, encoded, weights, interval_levels=()).remaps) == {"z"}


@pytest.mark.parametrize("seed", [14, 38])
def test_a_rare_answer_does_not_stop_a_calibration(seed):
    """With these seeds only 8 of 27 examples are in the half that fits the table."""
    yes = np.zeros((400, 1), np.float32)
    yes[:27] = 1
    p = 0.1 + 0.6 * yes + 0.1 * np.random.default_rng(seed).random((1, 400, 1))
    task = Task("rare", (Target("ghost", Bernoulli(), "ghost"),), "ghost.auc")
    estimator = SimpleNamespace(task=task, fingerprint="cd" * 32)
    made = calibrate(estimator, {"ghost": p}, {"ghost": yes}, {"ghost": np.ones(400)}, seed=seed)
    (sets,) = made.extras
    assert sets.levels == (0.9,)


def test_a_remap_that_gains_nothing_is_left_out():
    """Samples that are calibrated already: a fit on one half helps the other by chance only."""
    task = Task("kinds", (KIND,), "kind.accuracy")
    estimator = SimpleNamespace(task=task, fingerprint="00")
    kept = 0
    for seed in range(6):
        samples, y = classes(200, 1.0, seed=seed)
        made = calibrate(estimator, {"kind": samples}, {"kind": y}, {"kind": np.ones(200)})
        nll = next(row for row in made.table if row["score"] == "nll")
        left = [note for note in made.notes if "left as they are" in note]
        assert ("kind" in made.remaps) == (nll["after"] < nll["before"]) == (not left)
        if left:
            assert nll["after"] == nll["before"]
            plain = ConformalSets.fit(KIND, y, np.ones(200), samples, levels=(0.9,), by_class=True)
            assert made.extras == (plain,)
        kept += bool(left)
    assert 0 < kept < 6


def test_a_small_split_is_reported(calibration):
    assert not calibration.notes
    samples, encoded, weights = _validation(450)
    notes = calibrate(ESTIMATOR, samples, encoded, weights).notes
    # 2 sqrt(0.9 x 0.1 / n) of 450 and of 360 objects.
    assert ["450 labelled" in notes[0], "3 % (2 sigma)" in notes[0]] == [True, True]
    assert "360 labelled objects (fewer than 500)" in notes[1]
