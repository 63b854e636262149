"""``astrocnn export``: write the trained network for other programs, with a model card."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from astrocnn.backend import load_tensorflow
from astrocnn.catalog import SPLITS
from astrocnn.datasets import find_usable_rows
from astrocnn.errors import ConfigError
from astrocnn.estimators import Encoder
from astrocnn.evaluation import read_scores
from astrocnn.export import (
    ExportedNetwork,
    Training,
    compare_predictions,
    export_network,
    get_format,
)
from astrocnn.imaging import Inputs
from astrocnn.runs.run import Run, get_members

__all__ = ["run"]

_PROBES = 64
_SIMULATED = "simulated"
"""First word of the names of surveys that `astrocnn simulate` makes."""


def run(
    folder: Path,
    *,
    out: Path,
    format: str = "onnx",
    draws: int = 0,
    seed: int = 0,
    views: str | None = None,
    license: str = "unknown",
    catalog: Path | None = None,
    survey: Path | None = None,
    id: str | None = None,
) -> Iterator[str | Table]:
    """Export the estimator of a run directory, and verify the file on cutouts of the run.

    With a catalogue, it is then compared with the run on all of its objects.

    Raises
    ------
    ModelError
        If it is no network, or the file does not predict what the network does.
    ConfigError
        If the run is not trained, `out` is another folder, or a survey is given without a
        catalogue.
    """
    get_format(format)
    if catalog is None and (survey is not None or id is not None):
        raise ConfigError(
            "--survey and --id belong to the catalogue that --catalog names.",
            hint="without one the file is verified on cutouts of the run",
        )
    current = Run.open(folder)
    home = current.directory
    home.require(home.model, "train")
    current.require_network()
    load_tensorflow()
    estimator = current.estimator
    if isinstance(estimator, Encoder):
        estimator.sample()  # raises: there is nothing to predict
    source, images, scalars = _take_probes(current, estimator.inputs)
    network = export_network(
        estimator,
        out,
        images,
        scalars,
        format=format,
        draws=draws,
        seed=seed,
        views=current.config.prediction.views if views is None else views,
        source=source,
        training=_describe_training(current),
        license=license,
    )
    parity = network.config["parity"]
    yield from network.config["not_included"]
    yield (
        f"largest difference from the trained network {parity['largest_difference']:.2g} on "
        f"{parity['objects']} objects ({source}), by {parity['runtime']}"
    )
    yield f"{format} with model card: {out}"
    if catalog is not None:
        yield from _compare(current, network, catalog, survey, id)


def _compare(
    current: Run, network: ExportedNetwork, path: Path, survey: Path | None, id: str | None
) -> Iterator[str | Table]:
    """Compare an exported network with the run on all objects of a catalogue."""
    catalog, source = current.open_objects(path, survey, id)
    differences, n = compare_predictions(current.estimator, network, catalog, source)
    table = Table("column", "largest difference", "object", box=None)
    for one in differences:
        table.add_row(one.name, f"{one.value:.2g}", one.id if one.value else "")
    yield table
    yield f"compared on {n} of {len(catalog)} objects of '{path}'"


def _take_probes(
    current: Run, inputs: Inputs
) -> tuple[str, NDArray[np.float32] | None, NDArray[np.float32] | None]:
    """What the objects of the parity check are, their images and scalars."""
    if current.directory.shards.is_dir():
        shards = current.shards
        rows, _ = find_usable_rows(shards, inputs)
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _PROBES)).astype(int)]
        images = shards.images(rows) if inputs.bands else None
        return (
            "of the run",
            images,
            shards.scalars(inputs.scalars)[rows] if inputs.scalars else None,
        )
    random = np.random.default_rng(0)
    images = None
    if inputs.bands:
        assert inputs.normalization is not None
        shape = (_PROBES, inputs.size, inputs.size, inputs.n_bands)
        images = inputs.normalization.invert(random.normal(size=shape)).astype(np.float32)
    scalars = None
    if inputs.scalars:
        width = inputs.scalar_scale or (1.0,) * len(inputs.scalars)
        middle = inputs.scalar_location or (0.0,) * len(inputs.scalars)
        scalars = random.normal(middle, width, (_PROBES, len(inputs.scalars))).astype(np.float32)
    return "random numbers, since the run has no shards", images, scalars


def _describe_training(current: Run) -> Training:
    config, home = current.config, current.directory
    first = get_members(getattr(current.estimator, "estimator", current.estimator))[0]
    survey = config.survey or {}
    name = str(survey.get("name", ""))
    files = ", ".join(Path(file).name for file in config.catalog.files)
    facts = {"Catalogue": files}
    if name:
        facts["Survey"] = name
    facts["Label columns"] = ", ".join(current.task.label_columns)
    if home.shards.is_dir():
        facts["Objects with labels"] = ", ".join(
            f"{len(current.rows[split])} {split}" for split in SPLITS
        )
    facts |= {"Split by": config.split.by, **current.estimator.facts}
    facts["Fingerprint"] = f"SHA-256 {current.estimator.fingerprint}"
    scored: dict[str, Any] = {}
    if home.scores.is_file():
        scores, baselines, about = read_scores(home.scores)
        # Scores of an earlier state of the run say nothing about this network.
        if about.get("model") == current.estimator.fingerprint:
            scored = {
                "scores": scores,
                "baselines": baselines,
                "times_scored": int(about.get("times_scored", 1)),
            }
    return Training(
        config.title or "A network of astrocnn",
        current.estimator.task,
        first.architecture,
        facts,
        simulated=name.lower().startswith(_SIMULATED),
        data=f"test split of {name or files}",
        **scored,
    )
