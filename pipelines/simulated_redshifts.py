"""Redshifts of simulated galaxies from colors and from pixels, compared with the true posterior.

Galaxies with real spectra in u g r i z to r = 19, for which the true p(z) can be computed.  Seven
predictions for the same test galaxies: the redshift distribution of the training galaxies as a
prior; a network of colors; one of colors and of 32 principal components of the frozen features of
EfficientNet-Lite0 (ImageNet weights, stamps enlarged to 64 pixels); the same network fine-tuned on
pixels and colors for 12 epochs; a convolutional network of pixels and colors, all calibrated on the
validation galaxies; the true p(z | photometry); and the true p(z | photometry, structure), given
size, bulge and inclination without error.  In a second, control survey the structure carries no
information on the redshift.  The point estimate is the median; intervals are 95 % bootstrap over
the galaxies, and gains are paired.

    python pipelines/simulated_redshifts.py --out runs/redshifts --figure data/figures/photoz.png

6,000 galaxies, 3,586 of them to train and 1,837 to test; 45 minutes on a busy machine with 2 CPU
cores, 6 of them for each convolutional network (`pasquet19`, a quarter of its filters), 3 for each
set of features, 13 for each fine-tuned network.

    informative      sigma_MAD              CRPS                   NLL   PIT KS  68 %  95 %
    prior            0.0625 [.0589, .0653]  0.0390 [.0377, .0402]  4.23  0.023   68.4  95.2
    colors           0.0227 [.0215, .0240]  0.0154 [.0149, .0160]  3.32  0.044   68.5  94.7
    encoder, colors  0.0259 [.0246, .0272]  0.0171 [.0166, .0177]  3.46  0.018   68.5  94.5
    fine-tuned       0.0268 [.0254, .0283]  0.0179 [.0173, .0185]  3.49  0.040   67.5  96.3
    pixels, colors   0.0211 [.0199, .0223]  0.0143 [.0138, .0149]  3.24  0.038   67.5  94.3
    true, photom.    0.0213 [.0202, .0225]  0.0146 [.0141, .0152]  3.23  0.014   67.5  94.5
    true, structure  0.0185 [.0174, .0195]  0.0124 [.0120, .0129]  3.08  0.018   65.9  94.4

    gain of pixels   sigma_MAD                  CRPS                          NLL
    informative      +.0016 [+.0005, +.0025]    +.00110 [+.00085, +.00135]    +.086 [+.067, +.105]
    uninformative    +.0006 [-.0004, +.0015]    +.00031 [+.00016, +.00045]    +.038 [+.024, +.051]

    difference       +.0011 [+.0000, +.0020]    +.00078 [+.00055, +.00102]    +.048 [+.034, +.064]

The last line compares the networks of informative and uninformative images on galaxies with the
same fluxes.  With informative structure, pixels bring the network to the true p(z | photometry), in
CRPS slightly beyond (+.0003 [.0000, .0006]), which fluxes alone cannot; with the structure known
without error the NLL would be 3.08.  With uninformative structure they help less: the network
measures fluxes that complement the catalogue magnitudes, and does not reach the truth (NLL higher
by .051 [.035, .067]).  The coverage of both networks is correct within its intervals; the PIT of
neither is uniform (for this many uniform values the KS distance is below 0.032 in 95 % of cases).

The features of the encoder lower no score: with them the NLL is higher than with colors alone (3.31
in the same run) by .148 [.115, .181].  32 more inputs cost a small network more than they tell.
Fine-tuned, with the recipe of ``gz1_pretrained.toml``, the encoder is no better: higher by .174
[.148, .202], in a repetition on another machine, where the other rows are equal within .01 in NLL.
Its head is one linear layer of features and colors, and it was computed for the informative survey
only.

With the initial weights of the `pasquet19` paper the gain was +.030 [+.017, +.044] with informative
structure, +.011 [-.003, +.025] without, and the difference +.020 [+.009, +.029]; with another seed
+.014, +.004 and +.011.  Its predictions hardly depended on the pixels, which was found by permuting
the images of galaxies, not from a score.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pixel_redshifts import encode, enlarge
from scipy.stats import binom, kstwo
from sklearn.decomposition import PCA

from astrocnn import metrics
from astrocnn.calibration import calibrate
from astrocnn.catalog import Catalog, read_catalog
from astrocnn.datasets import D4, Shards, read_labels, split_rows, write_shards
from astrocnn.estimators import Calibrated, KerasEstimator, load_estimator
from astrocnn.imaging import Inputs, NoImages, open_source, read_survey
from astrocnn.models import read_pretrained
from astrocnn.report.style import COLORS, COLUMN, styled
from astrocnn.simulation.redshift import RedshiftSurvey, catalog_posterior, simulate_redshift
from astrocnn.targets import make
from astrocnn.training import Optimizer

SCALARS = ("mag_u - mag_g", "mag_g - mag_r", "mag_r - mag_i", "mag_i - mag_z", "mag_r", "ebv")
TASK = make("photoz", column="z", family="mixture", range=(0.0, 0.4), n_bins=100)
EDGES = np.linspace(0.0, 0.4, 101)
FRACTIONS = (0.6, 0.1, 0.3)
DRAWS = 20
SIZE = 32  # pixels
COMPONENTS = 32
COLORS_ALONE, ENCODER, PIXELS = "colors", "encoder, colors", "pixels, colors"
FINETUNED = "fine-tuned, colors"
TRUTH, TRUTH_STRUCTURE = "true p(z | photometry)", "true p(z | photometry, structure)"


@dataclass(frozen=True, eq=False)
class Prediction:
    """Densities of one method for the test galaxies."""

    masses: NDArray[np.floating]
    z: NDArray[np.floating]

    @cached_property
    def density(self) -> metrics.Densities:
        """Densities in the bins."""
        return metrics.Densities(self.masses, EDGES)

    @cached_property
    def median(self) -> NDArray[np.floating]:
        """Median of each galaxy."""
        family = make("photoz", family="binned", range=(0.0, 0.4), n_bins=100).target("z").family
        return family.summarize(self.density.masses[None])["median"]

    @cached_property
    def pit(self) -> NDArray[np.floating]:
        """Cumulative probability at the true redshift."""
        return self.density.cumulative(self.z)

    @cached_property
    def nll(self) -> NDArray[np.floating]:
        """Negative log probability in the bin of the truth [nat]."""
        return self.density.nll(self.z) - np.log(EDGES[1] - EDGES[0])

    @cached_property
    def scores(self) -> dict[str, metrics.Score]:
        """Scores with intervals."""
        dz, crps = metrics.deviation(self.median, self.z), self.density.crps(self.z)
        before, within = self.density.credible(self.z)
        held = {level: metrics.credible_coverage(before, within, level) for level in (0.68, 0.95)}
        return metrics.bootstrap(
            {
                "sigma_mad": lambda w: metrics.sigma_mad(dz, w),
                "bias": lambda w: metrics.bias(dz, w),
                "crps": lambda w: metrics.average(crps, w),
                "nll": lambda w: metrics.average(self.nll, w),
                "coverage68": lambda w: metrics.average(held[0.68], w),
                "coverage95": lambda w: metrics.average(held[0.95], w),
            },
            len(self.z),
        )

    def print_scores(self) -> None:
        """Print the scores."""
        for score in self.scores.values():
            print(f"    {score}")
        # A bootstrap of this distance is biased: compare it with that of uniform values.
        ks, chance = float(metrics.pit_ks(self.pit)), kstwo.ppf(0.95, len(self.pit))
        print(f"    pit_ks = {ks:.4f} (below {chance:.4f} in 95 % of calibrated samples)")


def gain(worse: Prediction, better: Prediction) -> dict[str, metrics.Score]:
    """Improvement of the second prediction over the first, paired by galaxy."""
    crps = worse.density.crps(worse.z) - better.density.crps(better.z)
    nll = worse.nll - better.nll
    one, other = (metrics.deviation(f.median, f.z) for f in (worse, better))
    return metrics.bootstrap(
        {
            "gain in sigma_mad": lambda w: metrics.sigma_mad(one, w) - metrics.sigma_mad(other, w),
            "gain in crps": lambda w: metrics.average(crps, w),
            "gain in nll": lambda w: metrics.average(nll, w),
        },
        len(crps),
    )


def build_network(
    name: str, shards: Shards, epochs: dict[str, int], seed: int
) -> tuple[KerasEstimator, dict]:
    """An untrained network and its training settings."""
    settings: dict[str, Any] = {"epochs": epochs[name], "strategy": "one"}
    if name == FINETUNED:
        optimizer = Optimizer("adam", 1e-3, schedule="cosine", warmup=1, average=0.98)
        settings |= {"start": read_pretrained("imagenet", "efficientnet_lite0"), "body_rate": 1.0}
        settings |= {"recipe": "finetune", "batch_size": 32}
        network = KerasEstimator(TASK, shards.inputs, "efficientnet_lite0", seed=seed)
        return network, settings | {"optimizer": optimizer, "augmentation": (D4(),)}
    if name != PIXELS:
        inputs = Inputs((), 0, scalars=shards.inputs.scalars)
        optimizer = Optimizer("adam", 3e-3, schedule="cosine", warmup=1)
        network = KerasEstimator(TASK, inputs, "ann", options={"width": 4}, seed=seed)
        return network, settings | {"optimizer": optimizer}
    optimizer = Optimizer("adamw", 2e-3, schedule="cosine", warmup=1)
    options = {"width": 0.25, "dropout": 0.2}
    network = KerasEstimator(TASK, shards.inputs, "pasquet19", options=options, seed=seed)
    return network, settings | {"optimizer": optimizer, "batch_size": 32, "augmentation": (D4(),)}


def train_network(
    folder: Path, name: str, shards: Shards, rows: Any, epochs: dict[str, int], seed: int
) -> Calibrated:
    """A network trained on the first rows and calibrated on the second."""
    where = folder / f"{name.replace(', ', '_and_')}-{seed}"
    if not where.exists():
        start = time.monotonic()
        network, settings = build_network(name, shards, epochs, seed)
        network.fit(shards, rows[0], rows[1], backup=folder / "backup" / where.name, **settings)
        encoded, weights = read_labels(shards, TASK, rows[1])
        calibration = calibrate(network, sample(network, shards, rows[1]), encoded, weights)
        Calibrated(network, calibration.remaps).save(where)
        print(
            f"{name}: trained in {time.monotonic() - start:.0f} s, {calibration.remaps}", flush=True
        )
    network = load_estimator(where)
    assert isinstance(network, Calibrated)
    return network


def sample(network: Any, shards: Shards, rows: NDArray[np.int64]) -> dict[str, Any]:
    """Draws of the network for some rows."""
    images = shards.images(rows) if network.inputs.bands else None
    return network.sample(images, shards.scalars(network.inputs.scalars)[rows], draws=DRAWS)


def write_features(
    folder: Path, catalog: Catalog, stamps: Shards, train: NDArray[np.int64]
) -> Shards:
    """Colors, and principal components of features of a pretrained encoder."""
    if not (folder / "features.npy").exists():
        features = encode(stamps, train)
        reduced = PCA(COMPONENTS, whiten=True, random_state=0).fit(features[train])
        np.save(folder / "features.npy", reduced.transform(features))
    table = Table(catalog.table, copy=True)
    names = tuple(f"feature_{k}" for k in range(COMPONENTS))
    for name, values in zip(names, np.load(folder / "features.npy").T, strict=True):
        table[name] = values
    inputs = Inputs((), 0, scalars=(*SCALARS, *names))
    own = Catalog.from_table(table)
    return write_shards(folder / "features", own, NoImages(len(own)), inputs)


def predict_all(
    folder: Path, n_objects: int, morphology: bool, epochs: dict[str, int], seed: int
) -> dict[str, Prediction]:
    """All predictions for the test galaxies of one survey."""
    sky = folder / "sky"
    if not (sky / "survey.toml").exists():
        survey = RedshiftSurvey(morphology=morphology)
        simulate_redshift(sky, n_objects=n_objects, seed=0, survey=survey, workers=None)
    catalog = read_catalog(sky / "catalog.fits")
    source = open_source(read_survey(sky / "survey.toml"), catalog.ra, catalog.dec, size=SIZE)
    both = write_shards(
        folder / "stamps", catalog, source, Inputs.from_source(source, scalars=SCALARS)
    )
    plain = Inputs((), 0, scalars=SCALARS)
    colors = write_shards(folder / "table", catalog, NoImages(len(catalog)), plain)
    rows = split_rows(both, TASK, fractions=FRACTIONS)
    test = rows[2]
    z = np.asarray(catalog.table["z"], float)
    counts = np.histogram(z[rows[0]], EDGES)[0] + 0.5
    masses = {"prior": np.tile(counts / counts.sum(), (len(test), 1))}
    large = enlarge(both.images(np.arange(len(both))), catalog, both.inputs, 2, folder / "enlarged")
    features = write_features(folder, catalog, large, rows[0])
    networks = {COLORS_ALONE: colors, ENCODER: features, FINETUNED: large, PIXELS: both}
    for name, shards in networks.items():
        network = train_network(folder, name, shards, rows, epochs, seed)
        family = network.task.target("z").family
        masses[name] = family.masses(sample(network, shards, test)["z"]).mean(axis=0)
    masses[TRUTH] = catalog_posterior(catalog.table[test], EDGES)
    if morphology:
        masses[TRUTH_STRUCTURE] = catalog_posterior(catalog.table[test], EDGES, with_structure=True)
    return {name: Prediction(m, z[test]) for name, m in masses.items()}


@styled
def plot_redshifts(found: dict[str, Prediction]) -> Figure:
    """Plot point estimates against the truth, and the PIT of the densities."""
    figure = Figure(figsize=(2.05 * COLUMN, 1.38 * COLUMN), layout="constrained")
    axes = figure.subplots(2, 3, sharey="row", height_ratios=(1.75, 1))
    line = np.array([0.0, 0.4])
    for k, name in enumerate((COLORS_ALONE, PIXELS, TRUTH)):
        prediction, score, color = found[name], found[name].scores, COLORS[(0, 1, 2)[k]]
        top, bottom = axes[:, k]
        top.plot(line, line, color="0.15", lw=0.8)
        for sign in (-1, 1):
            top.plot(line, line + sign * 0.05 * (1 + line), ":", color="0.15", lw=0.9)
        top.plot(prediction.z, prediction.median, "o", ms=1.7, mew=0, color=color, alpha=0.4)
        text = rf"$\sigma_{{\rm MAD}}$ = {score['sigma_mad'].value:.4f}"
        text += f"\nCRPS = {score['crps'].value:.4f}"
        top.text(0.04, 0.96, text, transform=top.transAxes, va="top", fontsize=8.5)
        top.set(xlim=line, ylim=line, aspect="equal", xlabel="true redshift")
        top.set_title(("network of colors", "network of pixels and colors", name)[k])
        n, n_bins = len(prediction.z), 20
        for level, gray in ((0.954, "0.90"), (0.683, "0.82")):
            ends = binom.interval(level, n, 1 / n_bins)
            bottom.axhspan(*(count * n_bins / n for count in ends), color=gray, lw=0)
        heights, edges = np.histogram(prediction.pit, n_bins, (0, 1), density=True)
        bottom.stairs(heights, edges, color=color, lw=1.4)
        text = f"KS = {float(metrics.pit_ks(prediction.pit)):.3f}"
        bottom.text(0.04, 0.93, text, transform=bottom.transAxes, va="top", fontsize=8.5)
        bottom.set(xlim=(0, 1), ylim=(0, 2), xlabel="PIT")
    axes[0, 0].set_ylabel("median of p(z)")
    axes[1, 0].set_ylabel("density")
    return figure


def main() -> None:
    """Simulate, train, score and plot."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/redshifts"))
    parser.add_argument("--objects", type=int, default=6000)
    parser.add_argument("--epochs", type=int, default=24, help="of the convolutional network")
    parser.add_argument("--seed", type=int, default=0, help="of the networks")
    parser.add_argument("--figure", type=Path, help="PNG to write")
    arguments = parser.parse_args()
    epochs = {COLORS_ALONE: 60, ENCODER: 60, FINETUNED: 12, PIXELS: arguments.epochs}
    pixels = {}
    for morphology in (True, False):
        folder = arguments.out / ("informative" if morphology else "uninformative")
        found = predict_all(folder, arguments.objects, morphology, epochs, arguments.seed)
        pixels[morphology] = found[PIXELS]
        print(f"structure informative about the redshift: {morphology}")
        for name, prediction in found.items():
            print(f"  {name}")
            prediction.print_scores()
        pairs = (
            (PIXELS, COLORS_ALONE),
            (PIXELS, TRUTH),
            (ENCODER, COLORS_ALONE),
            (FINETUNED, COLORS_ALONE),
            (PIXELS, FINETUNED),
        )
        for one, other in pairs:
            print(f"  {one} against {other}")
            for score in gain(found[other], found[one]).values():
                print(f"    {score}", flush=True)
        if morphology and arguments.figure:
            arguments.figure.parent.mkdir(parents=True, exist_ok=True)
            plot_redshifts(found).savefig(arguments.figure, dpi=150)
    # The same galaxies with the same fluxes: only the information in their images differs.
    print(f"{PIXELS}: informative against uninformative structure")
    for score in gain(pixels[False], pixels[True]).values():
        print(f"    {score}")


if __name__ == "__main__":
    main()
