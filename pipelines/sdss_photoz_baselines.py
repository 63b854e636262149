"""Photometric redshifts of SDSS main-sample galaxies from catalogue photometry: baselines.

5,000 galaxies of ``photoz_catalogs/SDSS_MGS.train`` (see the README of that set), in five folds:
each galaxy is predicted once, by a model that was not trained on it.  The point estimate is the
median of the density; intervals are 95 % bootstrap over the galaxies.

    ASTROCNN_DATA=../shared/data python pipelines/sdss_photoz_baselines.py

15 minutes on two busy cores, 13 of them for the ensemble of three networks (on shared cores,
boosted trees are fastest with OMP_NUM_THREADS=1).

                   sigma_MAD                 bias      eta(0.05)  CRPS                      PIT KS
    knn            0.0166 [0.0160, 0.0171]   -0.0010   1.98 %     0.0117 [0.0114, 0.0120]   0.023
    random_forest  0.0151 [0.0146, 0.0157]   -0.0004   1.54 %     0.0108 [0.0106, 0.0111]   0.025
    boosted_trees  0.0152 [0.0147, 0.0157]   -0.0001   1.32 %     0.0106 [0.0104, 0.0109]   0.014
    ann            0.0141 [0.0136, 0.0147]   +0.0001   1.38 %     0.0101 [0.0099, 0.0104]   0.014

The 15 nearest neighbors are the reference (the README of the data set quotes a sigma_MAD of about
0.018).  For 5,000 uniform PIT values the Kolmogorov-Smirnov distance is below 0.019 in 95 % of
cases: the densities of boosted trees and networks need no recalibration, those of neighbors and
forest nearly none.  The central 68 % intervals cover 69.3, 71.7, 69.1 and 68.5 % of the redshifts.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from astropy.table import Table

from astrocnn.catalog import Catalog
from astrocnn.datasets import Shards, write_shards
from astrocnn.estimators import ClassicalEstimator, Ensemble, Estimator
from astrocnn.imaging import Inputs, NoImages
from astrocnn.metrics import (
    Densities,
    Score,
    average,
    bias,
    bootstrap,
    deviation,
    outlier_fraction,
    pit_ks,
    sigma_mad,
)
from astrocnn.targets import make
from astrocnn.training import Optimizer

BANDS = ("u", "g", "r", "i", "z")
COLORS = ("u-g", "g-r", "r-i", "i-z")
ERRORS = tuple(f"e{name}" for name in (*BANDS, *COLORS))
MODELS = ("knn", "random_forest", "boosted_trees", "ann")
FOLDS = 5


def read(data: Path) -> Catalog:
    """The galaxies; the row number is the identifier."""
    # Named here because the header of the file omits "eu".
    names = ("zs", *BANDS, *COLORS, *ERRORS)
    table = Table(np.loadtxt(data / "photoz_catalogs" / "SDSS_MGS.train"), names=names)
    table["id"] = np.arange(len(table))
    return Catalog.from_table(table, id="id")


def build_estimator(name: str, inputs: Inputs, members: int) -> Estimator:
    """An untrained estimator."""
    if name == "ann":
        task = make("photoz", column="zs", range=(0.0, 0.4), family="mixture")
        return Ensemble.of(task, inputs, "ann", members=members, options={"width": 4})
    task = make("photoz", column="zs", range=(0.0, 0.4), family="binned")
    return ClassicalEstimator(task, inputs, name)


def train_estimator(
    estimator: Estimator, shards: Shards, train: np.ndarray, epochs: int
) -> Estimator:
    """Train it; networks use a tenth of the rows to select the best epoch."""
    if isinstance(estimator, ClassicalEstimator):
        return estimator.fit(shards, train)
    held_out = len(train) // 10
    return estimator.fit(
        shards,
        train[held_out:],
        train[:held_out],
        epochs=epochs,
        optimizer=Optimizer("adam", 3e-3, schedule="cosine", warmup=1),
        strategy="one",
    )


def predict(
    estimator: Estimator, shards: Shards, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities in the bins and the median of each galaxy."""
    samples = estimator.sample(None, shards.scalars(estimator.inputs.scalars)[rows])
    family = estimator.task.target("z").family
    return family.masses(samples["z"]).mean(axis=0), family.summarize(samples["z"])["median"]


def scores(masses: np.ndarray, point: np.ndarray, z: np.ndarray) -> dict[str, Score]:
    """Scores of points and densities, with intervals."""
    density = Densities(masses, np.linspace(0.0, 0.4, masses.shape[1] + 1))
    dz, pit, crps = deviation(point, z), density.cumulative(z), density.crps(z)
    within = np.abs(pit - 0.5) < 0.34
    return bootstrap(
        {
            "sigma_mad": lambda w: sigma_mad(dz, w),
            "bias": lambda w: bias(dz, w),
            "eta_0.05": lambda w: outlier_fraction(dz, 0.05, w),
            "crps": lambda w: average(crps, w),
            "pit_ks": lambda w: pit_ks(pit, w),
            "within_68": lambda w: average(within, w),
        },
        len(z),
    )


def main() -> None:
    """Train and score the requested models."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("ASTROCNN_DATA", "data"))
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--folds", type=int, default=FOLDS, help="number of the five folds to run")
    parser.add_argument("--members", type=int, default=3, help="networks in the ensemble")
    parser.add_argument("--epochs", type=int, default=40)
    arguments = parser.parse_args()

    catalog = read(arguments.data)
    z = np.asarray(catalog.table["zs"])
    inputs = Inputs((), 0, scalars=(*BANDS, *COLORS))
    folds = np.array_split(np.random.default_rng(0).permutation(len(catalog)), FOLDS)
    with tempfile.TemporaryDirectory() as folder:
        shards = write_shards(folder, catalog, NoImages(len(catalog)), inputs)
        for name in arguments.models:
            start, found = time.monotonic(), []
            for k, rows in enumerate(folds[: arguments.folds]):
                train = np.concatenate([fold for j, fold in enumerate(folds) if j != k])
                estimator = train_estimator(
                    build_estimator(name, inputs, arguments.members),
                    shards,
                    train,
                    arguments.epochs,
                )
                found.append(predict(estimator, shards, rows))
            masses, point = (np.concatenate(part) for part in zip(*found, strict=True))
            print(f"{name} ({time.monotonic() - start:.0f} s)")
            results = scores(masses, point, z[np.concatenate(folds[: arguments.folds])])
            for score in results.values():
                print(f"  {score}", flush=True)


if __name__ == "__main__":
    main()
