"""Redshifts of 20 radio galaxies from pixels of the Legacy Surveys: a demonstration, not a test.

``photoz_piczl`` (see the README of that set) has 31 cutouts of 23 x 23 pixels in g r i z, but only
20 distinct spectroscopic redshifts: groups of neighbors on the sky were given one.  The brightest
of each group is kept.  Each of these 20 is predicted once, in five folds, by

prior       all redshifts of the other folds
knn         the five nearest neighbors in three colors and a magnitude
svm         support vector regression of the same
encoder     the same with eight principal components of the features of EfficientNet-Lite0
            (weights of ImageNet; stamps three times enlarged) beside the colors
pasquet19   a convolutional network of pixels and colors, an eighth of its filters, from random
            weights

    ASTROCNN_DATA=../shared/data python pipelines/pixel_redshifts.py --out runs/pixels

Two minutes of CPU.  Intervals are 95 % bootstrap over the objects, gains are paired.

               sigma_MAD            CRPS                 gain in CRPS over the prior
    prior      .092 [.033, .212]    .094 [.069, .124]
    knn        .062 [.025, .122]    .058 [.034, .084]    .036 [.014, .059]
    svm        .049 [.012, .114]    .050 [.031, .073]    .044 [.031, .060]
    encoder    .039 [.025, .139]    .059 [.042, .079]    .035 [.021, .051]
    pasquet19  .040 [.016, .065]    .036 [.022, .056]    .058 [.031, .088]

Twenty objects decide nothing: all methods know more than the prior, and the intervals of all
others overlap.  No setting was chosen on these objects.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray
from scipy.ndimage import zoom
from sklearn.decomposition import PCA

from astrocnn import metrics
from astrocnn.catalog import Catalog
from astrocnn.datasets import D4, Shards, write_shards
from astrocnn.estimators import ClassicalEstimator, Encoder, KerasEstimator
from astrocnn.imaging import ArraySource, Inputs, NoImages
from astrocnn.models import read_pretrained
from astrocnn.targets import Task, make
from astrocnn.training import Optimizer

BANDS = ("g", "r", "i", "z")
COLORS = ("g - r", "r - i", "i - z", "r")
PIXEL_SCALE = 0.262  # arcsec
FOLDS, COMPONENTS = 5, 8
METHODS = {
    "prior": ("knn", {"neighbors": 1000}),
    "knn": ("knn", {"neighbors": 5}),
    "svm": ("svm", {}),
    "encoder": ("svm", {}),
    "pasquet19": None,
}


def enlarge(
    images: NDArray[np.float32], catalog: Catalog, inputs: Inputs, factor: int, folder: Path
) -> Shards:
    """Shards of stamps enlarged by linear interpolation, with the scalars of `inputs`."""
    assert inputs.pixel_scale is not None
    source = ArraySource(
        zoom(images, (1, factor, factor, 1), order=1), inputs.bands, inputs.pixel_scale / factor
    )
    return write_shards(folder, catalog, source, Inputs.from_source(source, scalars=inputs.scalars))


def encode(shards: Shards, train: NDArray[np.integer]) -> NDArray[np.float32]:
    """Features of EfficientNet-Lite0 with the weights of ImageNet, of shape (n, 1280).

    The normalization is fitted on `train`.
    """
    inputs = replace(shards.inputs, scalars=())
    encoder = Encoder(make("photoz"), inputs, "efficientnet_lite0", precision="float32")
    encoder.fit(shards, train, start=read_pretrained("imagenet", "efficientnet_lite0"), epochs=0)
    blocks = np.array_split(np.arange(len(shards)), max(1, len(shards) // 256))
    return np.concatenate([encoder.features(shards.images(block)) for block in blocks])


def read(data: Path) -> tuple[Table, NDArray[np.float32]]:
    """Magnitudes and images of the brightest object of each redshift."""
    folder = data / "photoz_piczl"
    objects = Table.read(folder / "catalog_with_z.fits")
    images = np.load(folder / "griz_cutouts.npz")["images"]
    flux = np.asarray(objects["dered_flux_r"], float)
    z = np.asarray(objects["z"], float)
    kept = [int(np.argmax(np.where(z == value, flux, -np.inf))) for value in np.unique(z)]
    table = Table({"id": kept, "redshift": z[kept]})
    for band in BANDS:
        table[band] = 22.5 - 2.5 * np.log10(np.asarray(objects[f"dered_flux_{band}"])[kept])
    return table, np.moveaxis(images[kept], 1, -1).astype(np.float32)


def build_task(family: str) -> Task:
    """The redshift, in 80 bins."""
    return make("photoz", column="redshift", range=(0.0, 0.8), n_bins=80, family=family)


def predict_network(
    shards: Shards, train: NDArray[np.integer], test: NDArray[np.integer], epochs: int
) -> NDArray[np.float64]:
    """Probabilities in bins by a small `pasquet19`."""
    task, options = build_task("mixture"), {"width": 0.125, "dropout": 0.2}
    network = KerasEstimator(task, shards.inputs, "pasquet19", options=options)
    optimizer = Optimizer("adamw", 2e-3, schedule="cosine", warmup=1)
    network.fit(
        shards, train, epochs=epochs, batch_size=8, optimizer=optimizer,
        augmentation=(D4(),), strategy="one",
    )  # fmt: skip
    samples = network.sample(shards.images(test), shards.scalars(COLORS)[test], draws=20)
    return task.target("z").family.masses(samples["z"]).mean(axis=0)


def predict_all(
    name: str, table: Table, images: NDArray[np.float32], folder: Path, epochs: int
) -> NDArray[np.float64]:
    """Probabilities in bins for each object by a model of the other folds."""
    n = len(table)
    folds = np.array_split(np.random.default_rng(0).permutation(n), FOLDS)
    masses = np.empty((n, 80))
    for k, test in enumerate(folds):
        train = np.setdiff1d(np.arange(n), test)
        place, own, scalars = folder / f"{name}-{k}", table.copy(), COLORS
        if name == "pasquet19":
            source = ArraySource(images, BANDS, PIXEL_SCALE)
            inputs = Inputs.from_source(source, scalars=COLORS)
            shards = write_shards(place, Catalog.from_table(own), source, inputs)
            masses[test] = predict_network(shards, train, test, epochs)
            continue
        if name == "encoder":
            stamps = Inputs(BANDS, images.shape[1], PIXEL_SCALE)
            catalog = Catalog.from_table(own)
            features = encode(enlarge(images, catalog, stamps, 3, folder / f"large-{k}"), train)
            reduced = PCA(COMPONENTS, random_state=0).fit(features[train]).transform(features)
            for i in range(COMPONENTS):
                own[f"feature_{i}"] = reduced[:, i]
                scalars = (*scalars, f"feature_{i}")
        inputs = Inputs((), 0, scalars=scalars)
        shards = write_shards(place, Catalog.from_table(own), NoImages(n), inputs)
        method, options = METHODS[name]
        task = build_task("binned")
        model = ClassicalEstimator(task, inputs, method, options=options).fit(shards, train)
        samples = model.sample(None, shards.scalars(scalars)[test])["z"]
        masses[test] = task.target("z").family.masses(samples).mean(axis=0)
    return masses


def main() -> None:
    """Predict and score."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("ASTROCNN_DATA", "data"))
    parser.add_argument("--out", type=Path, default=Path("runs/pixels"))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--epochs", type=int, default=60, help="of the convolutional network")
    arguments = parser.parse_args()
    table, images = read(arguments.data)
    z = np.asarray(table["redshift"])
    family, crps = build_task("binned").target("z").family, {}
    for name in arguments.methods:
        start = time.process_time()
        masses = predict_all(name, table, images, arguments.out, arguments.epochs)
        crps[name] = metrics.Densities(masses, family.edges).crps(z)
        dz = metrics.deviation(family.summarize(masses[None])["median"], z)
        found = {
            "sigma_mad": lambda w, dz=dz: metrics.sigma_mad(dz, w),
            "crps": lambda w, name=name: metrics.average(crps[name], w),
            "gain in crps over the first": lambda w, name=name: metrics.average(
                crps[arguments.methods[0]] - crps[name], w
            ),
        }
        print(f"{name} ({time.process_time() - start:.0f} s of processor time)")
        for score in metrics.bootstrap(found, len(z)).values():
            print(f"  {score}", flush=True)


if __name__ == "__main__":
    main()
