"""From a configuration to the objects it speaks of.

The last place where a configuration is seen: from here on, plain arguments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table

from astrocnn.atomic import cache_folder
from astrocnn.backend import keras
from astrocnn.catalog import (
    Catalog,
    assign_splits,
    compute_sky_keys,
    group_duplicates,
    read_catalog,
)
from astrocnn.errors import ConfigError, ModelError
from astrocnn.imaging import Inputs, Source, Survey, open_source, unpack
from astrocnn.imaging.files import expand_path
from astrocnn.plugins import load_module, nearest
from astrocnn.runs.config import RunConfig
from astrocnn.runs.trained_runs import features_from
from astrocnn.targets import Task, make

if TYPE_CHECKING:
    from astrocnn.datasets.augmentation import Augmentation
    from astrocnn.estimators import Estimator
    from astrocnn.models import Options
    from astrocnn.training import Optimizer

__all__ = [
    "PEAK",
    "augmentation_of",
    "catalog_of",
    "check_columns",
    "check_draws",
    "estimator_of",
    "fit_options_of",
    "inputs_of",
    "network_of",
    "optimizer_of",
    "options_of",
    "source_of",
    "survey_from",
    "splits_of",
    "survey_of",
    "task_of",
]

PEAK = "peak"
"""Name in ``evaluation.cut`` of the brightest pixel, measured when no column bears it."""


def catalog_of(config: RunConfig, path: str | Path | None = None) -> Catalog:
    """The catalogue of a run, or another file with the same roles."""
    section = config.catalog
    file = expand_path(section.file, config.root) if path is None else str(path)
    roles = {"id": section.id, "ra": section.ra, "dec": section.dec}
    more = {} if section.missing is None else {"missing": section.missing}
    return read_catalog(file, hdu=section.hdu, **roles, **more)


def survey_of(config: RunConfig) -> Survey | None:
    """The survey of a run with its bands in the order the inputs ask for; None without images."""
    if config.survey is None:
        return None
    return choose_bands(survey_from(config.survey, config.root), config.inputs.bands)


def survey_from(mapping: Mapping[str, Any], root: Path) -> Survey:
    """A survey from plain values; stamps in an ``archive`` are unpacked once.

    Parameters
    ----------
    mapping : mapping
        As in a survey file; ``root`` in it, if any, goes before `root`. With ``archive``, a tar
        file, the images are named by their paths inside it.
    root : Path
        The folder from which relative paths count.
    """
    mapping = dict(mapping)
    root = Path(mapping.pop("root", root))
    archive = mapping.pop("archive", None)
    if archive is not None:
        path = Path(expand_path(archive, root)).resolve()
        name = f"{path.name.split('.')[0]}-{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
        root = unpack(path, cache_folder() / name)
    return Survey.from_dict(mapping, root)


def choose_bands(survey: Survey, wanted: tuple[str, ...] | None) -> Survey:
    """The survey with the bands of a model only, in the order of the model."""
    if wanted is None:
        return survey
    by_name = {band.name: band for band in survey.bands}
    absent = [name for name in wanted if name not in by_name]
    if absent:
        raise ConfigError(
            f"The survey '{survey.name}' lacks a band that the inputs ask for.",
            received=absent,
            allowed=survey.band_names,
            hint=nearest(absent[0], survey.band_names),
        )
    keep = {field.name: getattr(survey, field.name) for field in fields(survey)}
    keep["bands"] = tuple(by_name[name] for name in wanted)
    if survey.reference not in wanted:
        keep["reference"] = None
    return Survey(**keep)


def source_of(survey: Survey | None, catalog: Catalog, size: int) -> Source:
    """The images of a catalogue's rows."""
    if survey is None:
        from astrocnn.imaging import NoImages

        return NoImages(len(catalog))
    columns = {name: catalog.table[name] for name in catalog.table.colnames}
    return open_source(survey, ra=catalog.ra, dec=catalog.dec, columns=columns, size=size)


def task_of(config: RunConfig) -> Task:
    """The task of a run.

    Raises
    ------
    ConfigError
        If there is no such task, or it does not know one of the options.
    """
    return make(config.task.name, **config.task.options)


def inputs_of(config: RunConfig, source: Source) -> Inputs:
    """The inputs of a run, before the normalization is fitted."""
    section = config.inputs
    return Inputs.from_source(source, scalars=section.scalars, mask_channel=section.mask_channel)


def estimator_of(config: RunConfig, task: Task, inputs: Inputs) -> Estimator:
    """The untrained estimator of a run: a network, several of them, or a classical method."""
    section = config.model
    if section.method is not None:
        from astrocnn.estimators import ClassicalEstimator

        return ClassicalEstimator(
            task,
            inputs,
            section.method,
            [features_from(config, name) for name in section.features],
            options=section.options,
            seed=config.seed,
        )
    assert section.architecture is not None
    how = {
        "options": options_of(config),
        "precision": config.prediction.precision,
        "seed": config.seed,
    }
    if section.members == 1:
        from astrocnn.estimators import KerasEstimator

        return KerasEstimator(task, inputs, section.architecture, **how)
    from astrocnn.estimators import Ensemble

    return Ensemble.of(task, inputs, section.architecture, members=section.members, **how)


def splits_of(config: RunConfig, catalog: Catalog, content: np.ndarray | None = None) -> np.ndarray:
    """Split of every row: 0 train, 1 validation, 2 test.

    Parameters
    ----------
    config : RunConfig
        Its ``[split]`` says by what: the identifier, the place on the sky, or a column.
    catalog : Catalog
        The objects.
    content : ndarray of str, shape (n_rows,), optional
        Hash of each object's pixels: rows with byte-identical images fall in the same split.

    Returns
    -------
    splits : ndarray of int8, shape (n_rows,)
    """
    section = config.split
    if section.by == "sky":
        if catalog.ra is None or catalog.dec is None:
            raise ConfigError("Splits by sky need a catalogue with positions.", received="sky")
        keys = compute_sky_keys(catalog.ra, catalog.dec, resolution=section.resolution)
    elif section.by == "id":
        keys = catalog.ids
    else:
        keys, _ = catalog.column(section.by)
    if content is not None:
        keys = group_duplicates(keys, content)
    return assign_splits(keys, fractions=section.fractions, seed=section.seed)


def options_of(config: RunConfig) -> Options:
    """Block options of the network."""
    from astrocnn.models import Options

    return Options.from_dict(config.model.options)


def check_columns(config: RunConfig, table: Table) -> None:
    """Refuse columns to judge by that the table does not have, or that hold no numbers.

    Raises
    ------
    ConfigError
        With the nearest name.
    """
    cut, names = config.evaluation.cut, table.colnames
    wanted = [("evaluation.by", column) for column in config.evaluation.by]
    if config.calibration.by is not None:
        wanted.append(("calibration.by", config.calibration.by))
    if cut is not None and not (cut == PEAK and cut not in names):
        wanted.append(("evaluation.cut", cut))
    for key, column in wanted:
        if column not in names:
            raise ConfigError(
                f"{key} names no column of the catalogue: '{column}'.",
                allowed=[PEAK, *names] if key == "evaluation.cut" else names,
                hint=nearest(column, names),
            )
        if table[column].dtype.kind not in "iuf":
            raise ConfigError(
                f"{key} needs a column of numbers; '{column}' holds {table[column].dtype}."
            )


def network_of(config: RunConfig, task: Task, source: Any) -> Any:
    """The untrained network of a run (keras.Model).

    Parameters
    ----------
    config : RunConfig
        Says which architecture, with which options.
    task : Task
        Gives the heads.
    source : Source or Shards
        Gives the bands.

    Raises
    ------
    ModelError
        If the stamps are too small for the architecture, or an option makes no sense.
    """
    from astrocnn.models.build import build_model

    inputs = inputs_of(config, source)
    return build_model(
        config.model.architecture,
        task,
        size=inputs.size,
        n_channels=inputs.n_channels,
        n_scalars=len(inputs.scalars),
        options=options_of(config),
    )


def check_draws(config: RunConfig, task: Task, source: Any) -> None:
    """Refuse draws from what has none: better before the training than after it.

    Raises
    ------
    ModelError
        With the ways out.
    """
    method = config.model.method
    if not config.prediction.draws:
        return
    if method is not None:
        if hasattr(load_module("astrocnn.estimators.methods", method), "members"):
            return
        what, others = f"The method '{method}' has no draws.", ""
    else:
        layers = network_of(config, task, source).layers
        if any(isinstance(x, keras.layers.Dropout) and x.rate > 0 for x in layers):
            return
        what = f"The network '{config.model.architecture}' has no dropout to draw from."
        others = "--set model.options.head_dropout=0.5, or "
    raise ModelError(
        what,
        received=f"prediction.draws = {config.prediction.draws}",
        hint=f"{others}--set prediction.draws=0",
    )


def optimizer_of(config: RunConfig) -> Optimizer:
    """The optimizer of a run with its schedule."""
    from astrocnn.training import Optimizer

    section = config.training
    options = dict(section.parameters or {})
    if section.weight_decay:
        options["weight_decay"] = section.weight_decay
    return Optimizer(
        section.optimizer,
        section.learning_rate,
        schedule=section.schedule,
        warmup=section.warmup,
        floor=section.floor,
        average=section.average,
        clip_norm=section.clip_norm,
        options=options,
    )


def augmentation_of(config: RunConfig, task: Task, inputs: Inputs) -> Augmentation | None:
    """What is varied in training, of images; refused when it would break a label of the task."""
    from astrocnn.datasets import augmentation_from, compose

    if not inputs.bands:
        return None
    steps = augmentation_from(config.augmentation.model_dump())
    return compose(steps, task, inputs) if steps else None


def fit_options_of(config: RunConfig, task: Task, inputs: Inputs) -> dict[str, Any]:
    """How the estimator of a run is fitted; a classical method has nothing to choose here."""
    if config.model.method is not None:
        return {}
    section = config.training
    return {
        "epochs": section.epochs,
        "batch_size": section.batch_size,
        "optimizer": optimizer_of(config),
        "patience": section.patience or None,
        "augmentation": augmentation_of(config, task, inputs),
        "balance": section.class_weights,
        "precision": section.precision,
    }
