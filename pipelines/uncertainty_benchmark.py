"""Uncertainty on data with known truth: one network, MC dropout, a deep ensemble, and both.

Classes of simulated galaxies from images, and redshifts of simulated galaxies from magnitudes.  The
same test objects are predicted by one network in one pass and with 50 dropout draws, and by an
ensemble of four in one pass and with 12 draws each, before and after calibration on the validation
split.  Brackets are 95 % bootstrap intervals over the test objects.

    python pipelines/uncertainty_benchmark.py --out runs/uncertainty

About 30 minutes on 2 busy CPU cores (simulation 5, training 13 and 3, the rest scoring); a second
call scores the trained networks again.

Classes: 2386 objects to train, 1174 to calibrate, 2438 to test; 12 epochs.

======================= ================= ================= ================= =================
after calibration       one network       MC dropout        ensemble          ensemble, dropout
======================= ================= ================= ================= =================
accuracy                92.2 %            92.0 %            93.1 %            93.2 %
NLL before              0.222             0.226             0.204             0.212
NLL                     0.222             0.220             0.195             0.196
Brier                   0.115             0.115             0.102             0.102
ECE before              0.015 [.012 .027] 0.023 [.019 .034] 0.031 [.024 .040] 0.042 [.035 .052]
ECE                     0.015 [.012 .027] 0.008 [.009 .021] 0.009 [.009 .021] 0.013 [.010 .023]
ECE if calibrated       0.013, < 0.018    0.012, < 0.017    0.011, < 0.016    0.011, < 0.016
errors by entropy       0.89              0.90              0.91              0.91
by mutual information                     0.89              0.89              0.89
sets of 90 %: coverage  92.9 %            93.1 %            93.2 %            93.2 %
sets of 95 %: coverage  96.1 %            96.2 %            96.3 %            96.2 %
sets of 98 %: coverage  98.2 %            98.1 %            98.5 %            98.5 %
======================= ================= ================= ================= =================

The single network is left as it is: a temperature gains nothing there.  "ECE if calibrated" is the
expected ECE of a perfectly calibrated model for 2438 objects, and its 95 % quantile.  "Errors by"
is the AUC of incorrect against correct classifications.  As no set is empty, the coverage is at
least the accuracy: at 93 %, sets of 90 % are too large.  Averaging networks makes them
underconfident; the best predictor before calibration is not the best after it.

Redshifts: 985 galaxies to train, 4177 to calibrate, 4838 to test.  Coverage of highest-density
intervals [%, 95 % binomial interval: +-1.3 and +-0.6], before -> after.

======================= ================= ================= ================= =================
                        one network       MC dropout        ensemble          ensemble, dropout
======================= ================= ================= ================= =================
68 %                    65.6 -> 67.0      66.8 -> 67.3      66.9 -> 67.9      67.9 -> 67.9
95 %                    94.0 -> 94.8      94.8 -> 94.8      94.8 -> 94.9      95.4 -> 94.8
CRPS                    0.0158            0.0158            0.0157            0.0157
PIT, KS distance        0.033 -> 0.019    0.036 -> 0.020    0.018 -> 0.018    0.021 -> 0.020
======================= ================= ================= ================= =================
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray
from uncertainty_figures import plot_classes, plot_readme, plot_redshifts

from astrocnn import metrics
from astrocnn.calibration import Calibration, ConformalSets, calibrate
from astrocnn.catalog import Catalog, read_catalog
from astrocnn.datasets import D4, Shards, read_labels, split_rows, write_shards
from astrocnn.estimators import Ensemble, Estimator, load_estimator
from astrocnn.imaging import Inputs, NoImages, open_source, read_survey
from astrocnn.simulation import CLASSES, simulate
from astrocnn.simulation.redshift import RedshiftSurvey, sample_galaxies
from astrocnn.simulation.redshift.galaxies import asinh_magnitude
from astrocnn.targets import Task, make
from astrocnn.training import Optimizer

MEMBERS, DRAWS = 4, 50
FRACTIONS = (0.4, 0.2, 0.4)  # many test objects, to measure an ECE of 0.02
LEVELS = (0.9, 0.95, 0.98)  # of the conformal sets
FRACTIONS_REDSHIFT = (0.1, 0.4, 0.5)  # few training galaxies, so that calibration is needed


@dataclass(frozen=True, eq=False)
class Case:
    """Samples of one predictor for the test objects."""

    family: Any
    samples: NDArray[np.floating]
    encoded: NDArray[np.floating]
    weight: NDArray[np.floating]

    @cached_property
    def p(self) -> NDArray[np.float64]:
        """Class probabilities, mean over draws, of shape (n, n_classes)."""
        p = np.asarray(self.family.to_probabilities(self.samples), np.float64).mean(axis=0)
        return p / p.sum(axis=1, keepdims=True)

    @cached_property
    def label(self) -> NDArray[np.intp]:
        """Index of the true class, of shape (n,)."""
        return np.asarray(self.encoded).argmax(axis=1)

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the most probable class is correct."""
        return self.p.argmax(axis=1) == self.label

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """True values."""
        return self.family.to_values(self.encoded)

    @cached_property
    def densities(self) -> metrics.Densities:
        """Predictive densities, mean over draws."""
        masses = self.family.masses(self.samples).mean(axis=0, dtype=np.float64)
        return metrics.Densities(masses, self.family.edges)


def make_images(folder: Path, n_objects: int) -> Shards:
    """Stamps of 48 pixels of a simulated survey."""
    if not (folder / "sky" / "catalog.fits").exists():
        simulate(folder / "sky", n_objects=n_objects, seed=11, workers=None)
    catalog = read_catalog(folder / "sky" / "catalog.fits")
    survey = read_survey(folder / "sky" / "survey.toml")
    return write_shards(
        folder / "stamps", catalog, open_source(survey, catalog.ra, catalog.dec, size=48)
    )


def make_magnitudes(folder: Path, n_objects: int) -> Shards:
    """Magnitudes, colors and reddening of simulated galaxies."""
    survey = RedshiftSurvey()
    galaxies = sample_galaxies(n_objects, seed=12, survey=survey)
    magnitude, _ = asinh_magnitude(galaxies.flux, galaxies.flux_error)
    table = Table({f"mag_{b}": m for b, m in zip(survey.names, magnitude.T, strict=True)})
    table["id"], table["z"], table["ebv"] = galaxies.id, galaxies.z, galaxies.ebv
    for a, b in zip(survey.names[:-1], survey.names[1:], strict=True):
        table[f"{a}_{b}"] = table[f"mag_{a}"] - table[f"mag_{b}"]
    inputs = Inputs((), 0, scalars=("mag_r", "u_g", "g_r", "r_i", "i_z", "ebv"))
    return write_shards(folder / "table", Catalog.from_table(table), NoImages(n_objects), inputs)


def train_ensemble(
    folder: Path,
    shards: Shards,
    task: Task,
    fractions: tuple[float, float, float],
    architecture: str,
    options: Any,
    **settings: Any,
) -> tuple[Ensemble, tuple[NDArray[np.int64], ...]]:
    """An ensemble trained on the first split, and the rows of the three."""
    rows = split_rows(shards, task, fractions=fractions)
    if not (folder / "model").exists():
        start = time.monotonic()
        ensemble = Ensemble.of(task, shards.inputs, architecture, members=MEMBERS, options=options)
        ensemble.fit(shards, rows[0], rows[1], backup=folder / "backup", **settings)
        ensemble.save(folder / "model")
        print(f"trained {MEMBERS} members in {time.monotonic() - start:.0f} s", flush=True)
    ensemble = load_estimator(folder / "model")
    assert isinstance(ensemble, Ensemble)
    return ensemble, rows


def predictors(ensemble: Ensemble) -> dict[str, tuple[Estimator, int]]:
    """The four predictors with their numbers of draws; the last has as many in total."""
    return {
        "one network": (ensemble.members[0], 0),
        "MC dropout": (ensemble.members[0], DRAWS),
        "ensemble": (ensemble, 0),
        "ensemble, dropout": (ensemble, DRAWS // MEMBERS),
    }


def compare_predictors(
    ensemble: Ensemble, shards: Shards, validation: Any, test: Any
) -> Iterator[tuple[str, Case, Case, Calibration]]:
    """Each predictor on the test rows, before and after calibration on the validation rows."""
    (target,) = ensemble.task.targets
    rows = np.concatenate([validation, test])
    pixels = shards.images(rows) if ensemble.inputs.bands else None
    names = ensemble.inputs.scalars
    scalars = shards.scalars(names)[rows] if names else None
    encoded, weights = read_labels(shards, ensemble.task, rows)
    y, w, n = encoded[target.name], weights[target.name], len(validation)
    for name, (estimator, draws) in predictors(ensemble).items():
        samples = estimator.sample(pixels, scalars, draws=draws)[target.name]
        first = {target.name: samples[:, :n]}
        calibration = calibrate(
            estimator, first, {target.name: y[:n]}, {target.name: w[:n]}, set_levels=LEVELS
        )
        before = after = Case(target.family, samples[:, n:], y[n:], w[n:])
        # A remap that gains nothing is left out.
        if (remap := calibration.remaps.get(target.name)) is not None:
            after = replace(
                before,
                family=remap.family(target.family),
                samples=remap.apply(target.family, before.samples),
            )
        yield name, before, after, calibration


def class_scores(case: Case) -> dict[str, metrics.Score]:
    """Scores of class probabilities."""
    p, label, correct = case.p, case.label, case.correct
    top, truth = p.max(axis=1), np.eye(p.shape[1])[label]
    draws = np.asarray(case.family.to_probabilities(case.samples), np.float64)
    entropy = metrics.predictive_entropy(draws)
    functions = {
        "accuracy": lambda w: metrics.accuracy(label, p.argmax(axis=1), w),
        "nll": lambda w: metrics.log_loss(p, truth, w),
        "brier": lambda w: metrics.brier(p, truth, w),
        "ece": lambda w: metrics.ece(top, correct, w),
        "errors_by_entropy": lambda w: metrics.Ranking(~correct, entropy).auc(w),
        "risk_coverage": lambda w: metrics.risk_coverage_area(~correct, entropy, w),
    }
    if len(draws) > 1:
        disagreement = metrics.mutual_information(draws)
        functions["errors_by_information"] = lambda w: metrics.Ranking(~correct, disagreement).auc(
            w
        )
    return metrics.bootstrap(functions, len(label))


def expected_ece(case: Case, n_trials: int = 1000) -> tuple[float, float]:
    """ECE expected for perfectly calibrated probabilities: its mean and 95 % quantile.

    The bootstrap interval of an ECE is biased upwards by the same amount.
    """
    rng, top = np.random.default_rng(0), case.p.max(axis=1)
    found = [metrics.ece(top, rng.random(len(top)) < top) for _ in range(n_trials)]
    return float(np.mean(found)), float(np.quantile(found, 0.95))


def set_scores(case: Case, calibration: Calibration) -> dict[str, dict[str, Any]]:
    """Coverage of the conformal sets by level, with its binomial interval, and their size.

    No set is empty, so that coverage is never below the accuracy.
    """
    sets = next(extra for extra in calibration.extras if isinstance(extra, ConformalSets))
    found = {}
    for level, inside in zip(sets.levels, sets.members(case.p), strict=True):
        hits = inside[np.arange(len(inside)), case.label]
        low, high = metrics.wilson(hits.sum(), len(hits))
        found[f"{level:g}"] = {
            "coverage": float(hits.mean()),
            "interval": (float(low), float(high)),
            "by class": [float(hits[case.label == k].mean()) for k in range(inside.shape[1])],
            "size": float(inside.sum(axis=1).mean()),
        }
    return found


def density_scores(case: Case) -> dict[str, metrics.Score]:
    """Scores of densities; coverage is that of the highest-density intervals."""
    densities, z = case.densities, case.values
    pit, crps, nll = densities.cumulative(z), densities.crps(z), densities.nll(z)
    before, within = densities.credible(z)
    held = {level: metrics.credible_coverage(before, within, level) for level in (0.68, 0.95)}
    return metrics.bootstrap(
        {
            "coverage68": lambda w: metrics.average(held[0.68], w),
            "coverage95": lambda w: metrics.average(held[0.95], w),
            "pit_ks": lambda w: metrics.pit_ks(pit, w),
            "crps": lambda w: metrics.average(crps, w),
            "nll": lambda w: metrics.average(nll, w),
        },
        len(z),
    )


def print_scores(scores: Mapping[str, metrics.Score]) -> dict[str, list[float]]:
    """Print the scores, and return value and interval by name."""
    for score in scores.values():
        print(f"    {score}", flush=True)
    return {name: [s.value, s.low, s.high] for name, s in scores.items()}


def run_classes(folder: Path, n_objects: int, epochs: int) -> dict[str, Any]:
    """Compare the predictors on classes from images."""
    shards = make_images(folder, n_objects)
    task = make("morphology", column="morphology", classes=tuple(CLASSES))
    ensemble, (train, validation, test) = train_ensemble(
        folder,
        shards,
        task,
        FRACTIONS,
        "plain8",
        {"width": 0.5},
        epochs=epochs,
        augmentation=(D4(),),
        optimizer=Optimizer("adamw", 2e-3, schedule="cosine", warmup=1),
    )
    found: dict[str, Any] = {"rows": [len(train), len(validation), len(test)]}
    cases = {}
    for name, before, after, calibration in compare_predictors(ensemble, shards, validation, test):
        print(f"{name}: {calibration.remaps.get(task.targets[0].name, 'left as it is')}")
        found[name] = {
            "before": print_scores(class_scores(before)),
            "after": print_scores(class_scores(after)),
        }
        found[name]["expected ece"] = expected_ece(after)
        found[name]["sets"] = set_scores(after, calibration)
        print(f"    expected ECE {found[name]['expected ece']}, sets {found[name]['sets']}")
        cases[name] = (before, after, calibration)
    plot_classes({k: v[:2] for k, v in cases.items()}, found).savefig(folder / "classes.png")
    figure = plot_readme(*cases["ensemble, dropout"], shards.images(test), tuple(CLASSES))
    figure.savefig(folder / "morphology.png")
    return found


def run_redshifts(folder: Path, n_objects: int, epochs: int) -> dict[str, Any]:
    """Compare the predictors on redshifts from magnitudes."""
    shards = make_magnitudes(folder, n_objects)
    task = make("photoz", column="z", family="mixture", range=(0.0, 0.4), n_bins=180)
    ensemble, (train, validation, test) = train_ensemble(
        folder,
        shards,
        task,
        FRACTIONS_REDSHIFT,
        "ann",
        {"width": 8},
        epochs=epochs,
        optimizer=Optimizer("adam", 3e-3, schedule="cosine", warmup=1),
    )
    found: dict[str, Any] = {"rows": [len(train), len(validation), len(test)]}
    cases = {}
    for name, before, after, _ in compare_predictors(ensemble, shards, validation, test):
        print(name)
        found[name] = {
            "before": print_scores(density_scores(before)),
            "after": print_scores(density_scores(after)),
        }
        cases[name] = (before, after)
    plot_redshifts(cases).savefig(folder / "redshifts.png")
    return found


def main() -> None:
    """Train the missing networks, score and plot."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/uncertainty"))
    parser.add_argument("--objects", type=int, default=6000, help="simulated objects with images")
    parser.add_argument("--galaxies", type=int, default=10000, help="simulated galaxies")
    parser.add_argument("--epochs", type=int, default=12)
    arguments = parser.parse_args()
    start = time.monotonic()
    found = {
        "classes": run_classes(arguments.out / "classes", arguments.objects, arguments.epochs),
        "redshifts": run_redshifts(
            arguments.out / "redshifts", arguments.galaxies, 3 * arguments.epochs
        ),
    }
    (arguments.out / "scores.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"{time.monotonic() - start:.0f} s; scores and figures are in {arguments.out}")


if __name__ == "__main__":
    main()
