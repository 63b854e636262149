"""`Run`: the configuration of a run and the objects built from it.

It makes everything that a configuration speaks of on first use, and once: a catalogue is read,
tiles are opened and a network is built no more than one time.  From here on nothing sees a
configuration: folders below get plain arguments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from astrocnn import datasets, estimators, models, plugins, training
from astrocnn.atomic import cache_folder
from astrocnn.backend import keras, load_tensorflow
from astrocnn.calibration import Novelty
from astrocnn.calibration.base import StoredExtra
from astrocnn.catalog import (
    FILE,
    SPLITS,
    Catalog,
    assign_file_splits,
    assign_splits,
    compute_sky_keys,
    group_duplicates,
    join_catalogs,
    read_catalog,
)
from astrocnn.datasets.object_store import open_images
from astrocnn.errors import ConfigError, InputsError, ModelError, PredictionError, TrainingError
from astrocnn.estimators.base import FEATURES
from astrocnn.imaging import Inputs, Normalization, Source, Survey, unpack
from astrocnn.imaging.files import expand_path
from astrocnn.models import Options
from astrocnn.models.architectures.base import Published
from astrocnn.plugins import nearest
from astrocnn.prediction.sampling import sample_rows
from astrocnn.runs.config import read_survey_file
from astrocnn.runs.directory import RunDirectory
from astrocnn.runs.sections import (
    START_OPTIONS,
    AugmentationSection,
    RunConfig,
)
from astrocnn.runs.trained_runs import has_published_weights, load_features, load_start
from astrocnn.scheduling import Scheduler
from astrocnn.targets import Task, make

__all__ = [
    "EMPTY_TEST",
    "PEAK",
    "Run",
    "build_steps",
    "build_survey",
    "get_members",
    "load_survey",
    "open_images",
    "select_bands",
]

PEAK = "peak"
"""Name in ``evaluation.cut`` of the brightest pixel, measured when no column bears it."""

EMPTY_TEST = (
    "warning: the test split is empty; 'evaluate' will score other catalogues only (--catalog)"
)

Rows = NDArray[np.int64]


class Run:
    """A configuration, its run directory, and the objects built from them.

    Parameters
    ----------
    config : RunConfig
        Configuration of the run.
    directory : RunDirectory or path-like, optional
        Where it is kept; a dry run has none.

    Attributes
    ----------
    config : RunConfig
    """

    def __init__(
        self, config: RunConfig, directory: RunDirectory | str | Path | None = None
    ) -> None:
        self.config = config
        if isinstance(directory, str | Path):
            directory = RunDirectory(directory)
        self._directory = directory

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """Open the run of an existing directory.

        Raises
        ------
        ConfigError
            If the folder is not a run directory.
        """
        directory = RunDirectory.open(folder)
        return cls(directory.config(), directory)

    @property
    def directory(self) -> RunDirectory:
        """The run directory."""
        if self._directory is None:
            raise ConfigError("This run has no directory.")
        return self._directory

    @property
    def has_network(self) -> bool:
        """Whether the run trains a network, not a classical method."""
        return self.config.model.method is None

    # ------------------------------------------------------------------- catalogue and images

    @cached_property
    def catalog(self) -> Catalog:
        """The catalogue of objects."""
        return self._read_own_catalog()

    def _read_own_catalog(self, id: str | None = None) -> Catalog:
        section = self.config.catalog
        catalogs = [
            self.read_catalog(expand_path(file, self.config.root), id) for file in section.files
        ]
        # A list of one file is a joined catalogue too: it has the column of the files.
        return (
            catalogs[0] if isinstance(section.file, str) else join_catalogs(catalogs, section.files)
        )

    def read_catalog(self, path: str | Path, id: str | None = None) -> Catalog:
        """Read another catalogue with the same column roles; `id` may be another column."""
        section = self.config.catalog
        options: dict[str, Any] = {} if section.missing is None else {"missing": section.missing}
        return read_catalog(
            path, hdu=section.hdu, id=id or section.id, ra=section.ra, dec=section.dec, **options
        )

    def read_objects(
        self, catalog: Path | None, survey: Path | None, id: str | None
    ) -> tuple[Catalog, Survey | None]:
        """The catalogue and the survey of the run, or others in their place."""
        objects = self.catalog if catalog is None and id is None else None
        if objects is None:
            objects = (
                self._read_own_catalog(id) if catalog is None else self.read_catalog(catalog, id)
            )
        return objects, self.survey if survey is None else load_survey(survey)

    def open_objects(
        self, catalog: Path | None, survey: Path | None, id: str | None
    ) -> tuple[Catalog, Source]:
        """As `read_objects`, with the images as the trained network takes them, row for row."""
        objects, images = self.read_objects(catalog, survey, id)
        load_tensorflow()
        inputs = self.estimator.inputs
        images = None if images is None else select_bands(images, inputs.bands)
        return objects, open_images(images, objects, inputs.size)

    @cached_property
    def survey(self) -> Survey | None:
        """The survey with its bands in the order of the inputs; None for a run without images."""
        if self.config.survey is None:
            return None
        survey = build_survey(self.config.survey, self.config.root)
        bands = self.config.inputs.bands
        return survey if bands is None else select_bands(survey, bands)

    @cached_property
    def source(self) -> Source:
        """The images of the catalogue's rows."""
        return open_images(self.survey, self.catalog, self.config.inputs.size)

    @cached_property
    def shards(self) -> datasets.Shards:
        """The cutouts on disk.

        Raises
        ------
        ConfigError
            If there are none yet.
        """
        return datasets.Shards.open(self.directory.require(self.directory.shards, "cutouts"))

    @cached_property
    def inputs(self) -> Inputs:
        """Inputs of the network, before a normalization is fitted."""
        # Open tiles give the scale as well as shards do; a trained run needs no tiles.
        cut = "shards" in vars(self) or (
            self._directory is not None and self._directory.shards.exists()
        )
        images = self.shards if cut and "source" not in vars(self) else self.source
        section = self.config.inputs
        return Inputs.from_source(
            images, scalars=section.scalars, mask_channel=section.mask_channel
        )

    # ------------------------------------------------------------------------- task and rows

    @cached_property
    def task(self) -> Task:
        """The task.

        Raises
        ------
        ConfigError
            If there is no such task, or it does not know one of the options.
        """
        section = self.config.task
        return make(plugins.load("tasks", section.name), **_load_families(section.options))

    @property
    def splits(self) -> NDArray[np.int8]:
        """Split of every row of the catalogue: 0 train, 1 validation, 2 test."""
        return self._split(self.catalog)

    @cached_property
    def shard_splits(self) -> NDArray[np.int8]:
        """Split of every row of the shards; rows with byte-identical images share a split."""
        return self._split(self.shards.catalog, self.shards.content)

    def _split(self, catalog: Catalog, content: NDArray[np.str_] | None = None) -> NDArray[np.int8]:
        section = self.config.split
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
        options: dict[str, Any] = {"fractions": section.fractions, "seed": section.seed}
        if section.files is None:
            return assign_splits(keys, **options)
        file, _ = catalog.column(FILE)
        return assign_file_splits(keys, file, section.files, contents=content, **options)

    @cached_property
    def rows(self) -> dict[str, Rows]:
        """Rows of each split of the shards that have an image and at least one label."""
        rows = datasets.split_rows(self.shards, self.task, self.inputs, split=self.shard_splits)
        return dict(zip(SPLITS, rows, strict=True))

    def find_training_rows(self) -> Rows:
        """Find the usable rows of the training split, with and without labels."""
        usable, _ = datasets.find_usable_rows(self.shards, self.inputs)
        found: Rows = usable[self.shard_splits[usable] == SPLITS.index("train")]
        return found

    def require_rows(self, *splits: str) -> dict[str, Rows]:
        """As `rows`, for splits that must not be empty.

        Raises
        ------
        TrainingError, PredictionError
            If one of them is.
        """
        for name in splits:
            if not len(self.rows[name]):
                kind = PredictionError if name == "test" else TrainingError
                raise kind(
                    f"The {name} split has no labelled object with an image.",
                    received=", ".join(f"{k}: {len(v)}" for k, v in self.rows.items()),
                    hint="add rows, or change split.fractions",
                )
        return self.rows

    # ----------------------------------------------------------------------------- estimator

    @cached_property
    def untrained(self) -> estimators.Estimator:
        """The estimator before `fit`: a network, several of them, or a classical method."""
        return self.build_estimator(self.inputs)

    def build_estimator(self, inputs: Inputs) -> estimators.Estimator:
        """An estimator before `fit` for inputs with a normalization."""
        section, seed = self.config.model, self.config.seed

        def build_classical(method: str, options: dict[str, Any]) -> estimators.Estimator:
            features = [load_features(self.config, name) for name in section.features]
            return estimators.ClassicalEstimator(
                self.task, inputs, method, features, options=options, seed=seed
            )

        if section.method is not None:
            return build_classical(section.method, section.options)
        assert section.architecture is not None
        leaf = plugins.load("architectures", section.architecture)
        options: dict[str, Any] = {
            "options": self.block_options,
            "precision": self.config.prediction.precision,
        }
        members = [
            estimators.KerasEstimator(self.task, inputs, leaf, seed=seed + k, **options)
            for k in range(section.members)
        ] + [build_classical(*method) for method in section.classical.items()]
        return members[0] if len(members) == 1 else estimators.Ensemble(members)

    def measure_normalization(self, rows: Rows) -> Normalization:
        """Measure the normalization on some rows of the training split."""
        section = self.config.inputs
        return datasets.fit_normalization(
            self.shards,
            rows,
            section.stretch,
            seed=self.config.seed,
            robust=section.robust,
            whiten=section.whiten,
            mask_channel=section.mask_channel,
            limits=self._limits,
        )

    def fit_inputs(self) -> None:
        """Give the untrained estimator the normalization of the training rows."""
        if not self.inputs.bands:
            return
        inputs = self.inputs.with_normalization(self.find_normalization(self.rows["train"]))
        if not self.has_network:
            self.untrained = self.build_estimator(inputs)
            return
        # The network that was built does not depend on the normalization.
        for member in get_members(self.untrained):
            member.inputs = inputs

    def find_normalization(self, rows: Rows) -> Normalization:
        """Measure the normalization on some rows of the training split.

        After pretraining on the same images it is the one that the features were learned with.

        Raises
        ------
        InputsError
            If the network was pretrained on pixels with another stretch or without masks.
        """
        if not isinstance(self.start, estimators.Encoder):
            return self.measure_normalization(rows)
        known, section = self.start.inputs, self.config.inputs
        assert known.normalization is not None
        for key, there, here in (
            ("stretch", known.normalization.stretch, section.stretch),
            ("mask_channel", known.mask_channel, section.mask_channel),
        ):
            if there != here:
                raise InputsError(
                    f"inputs.{key} differs from that of the pretrained network in model.weights.",
                    received=here,
                    allowed=there,
                )
        ours = self.inputs
        alike = [
            (i.bands, i.unit, None if i.pixel_scale is None else round(i.pixel_scale, 4))
            for i in (known, ours)
        ]
        if alike[0] == alike[1]:
            return known.normalization
        return self.measure_normalization(rows)

    @property
    def _limits(self) -> tuple[tuple[float, float], ...] | None:
        """Black and white of each band, where the initial weights expect them."""
        if self.start is None:
            return None
        return estimators.find_limits(get_members(self.start)[0], self.inputs.n_bands)

    def begin_network(self) -> training.LayerRates:
        """Give the untrained network its initial weights; returns the rates of its layers.

        Raises
        ------
        ModelError
            If the weights do not fit.
        """
        options = self._start_options
        if not options:
            return training.LayerRates()
        first = get_members(options.pop("start"))[0]
        inputs = get_members(self.untrained)[0].inputs
        estimators.start_from(self.network, self.task, inputs, first)
        return training.build_layer_rates(self.network, **options)

    @property
    def network(self) -> keras.Model:
        """The untrained network; the first one of an ensemble.

        Raises
        ------
        ConfigError
            If the run has none.
        ModelError
            If the stamps are too small for the architecture, or an option makes no sense.
        """
        self.require_network()
        network: keras.Model = get_members(self.untrained)[0].network
        return network

    def require_network(self) -> None:
        """Raise if the run has a classical method.

        Raises
        ------
        ConfigError
            If the run has no network.
        """
        if not self.has_network:
            raise ConfigError(
                "This run has no network.",
                received=f"method '{self.config.model.method}'",
                hint="give an architecture in [model]",
            )

    @cached_property
    def _trained(self) -> tuple[estimators.Estimator, tuple[StoredExtra, ...]]:
        return self.directory.estimator()

    @property
    def estimator(self) -> estimators.Estimator:
        """The trained estimator, calibrated if the run is."""
        return self._trained[0]

    @property
    def extras(self) -> tuple[StoredExtra, ...]:
        """Extras that add columns to the predictions: novelty, and those of a calibration."""
        return self._trained[1]

    @cached_property
    def start(self) -> estimators.Estimator | models.Pretrained | None:
        """What initializes the weights: a trained estimator or published ones; None at random."""
        return load_start(self.config)

    def read_numbers(self, column: str, rows: Rows) -> NDArray[np.float64]:
        """Read a catalogue column for some rows of the shards, NaN where missing."""
        values, missing = self.shards.column(column)
        return np.where(missing, np.nan, np.asarray(values, np.float64))[rows]

    def sample(
        self, rows: Rows, estimator: estimators.Estimator | None = None, **options: Any
    ) -> dict[str, NDArray[np.float32]]:
        """Sample some rows of the shards, by target, with the draws and views of the run."""
        section = self.config.prediction
        return sample_rows(
            self.estimator if estimator is None else estimator,
            self.shards,
            rows,
            draws=section.draws,
            seed=self.config.seed,
            views=section.views,
            **options,
        )

    def sample_with_novelty(
        self, rows: Rows, scheduler: Scheduler | None = None
    ) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.bool_] | None]:
        """As `sample`, and which objects are flagged as novel; None without a score."""
        novelty = next((extra for extra in self.extras if isinstance(extra, Novelty)), None)
        samples = self.sample(
            rows,
            features=novelty is not None,
            scheduler=scheduler,
            folder=self.directory.evaluation / ".session",
        )
        if novelty is None:
            return samples, None
        features = samples.pop(FEATURES)[0]
        return samples, novelty.find_novel(novelty.score(features)[0])

    # ------------------------------------------------------------------------------ training

    @cached_property
    def block_options(self) -> Options:
        """Options of the network's blocks, with those that published weights need."""
        options = self.config.model.options
        if has_published_weights(self.config):
            leaf = plugins.load("architectures", self.config.model.architecture)
            options = {**plugins.declared(leaf, "PUBLISHED", Published()).options, **options}
        return Options.from_dict(options)

    @cached_property
    def optimizer(self) -> training.Optimizer:
        """The optimizer with its schedule."""
        section = self.config.training
        options = dict(section.parameters or {})
        if section.weight_decay:
            options["weight_decay"] = section.weight_decay
        return training.Optimizer(
            section.optimizer,
            section.learning_rate,
            schedule=section.schedule,
            warmup=section.warmup,
            floor=section.floor,
            average=section.average,
            clip_norm=section.clip_norm,
            options=options,
        )

    @cached_property
    def augmentation(self) -> Any:
        """Augmentation of the training images; None without images.

        Raises
        ------
        ConfigError
            If it would destroy what a label is about.
        """
        if not self.inputs.bands:
            return None
        steps = build_steps(self.config.augmentation)
        return datasets.compose(steps, self.task, self.inputs) if steps else None

    @property
    def fit_options(self) -> dict[str, Any]:
        """Keyword arguments of `fit`; empty for a classical method."""
        if not self.has_network:
            return {}
        section = self.config.training
        return {
            "epochs": section.epochs,
            "batch_size": section.batch_size,
            "optimizer": self.optimizer,
            "patience": section.patience or None,
            "augmentation": self.augmentation,
            "balance": section.class_weights,
            "precision": section.precision,
            **self._start_options,
        }

    @property
    def _start_options(self) -> dict[str, Any]:
        """What learns when in a network with initial weights."""
        if self.start is None:
            return {}
        section = self.config.training
        return {"start": self.start, **{name: getattr(section, name) for name in START_OPTIONS}}

    # -------------------------------------------------------------------------------- checks

    def check_columns(self, table: Table) -> None:
        """Raise if a column of the evaluation is missing or not numeric.

        Raises
        ------
        ConfigError
            With the nearest name.
        """
        evaluation, names = self.config.evaluation, table.colnames
        required = [("evaluation.by", column) for column in evaluation.by]
        if self.config.calibration.by is not None:
            required.append(("calibration.by", self.config.calibration.by))
        cut = evaluation.cut
        if cut is not None and not (cut == PEAK and cut not in names):
            required.append(("evaluation.cut", cut))
        for key, column in required:
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

    def check_draws(self) -> None:
        """Raise before training if draws are requested of a model without any.

        Raises
        ------
        ModelError
            If the model has no draws; the message lists alternatives.
        """
        method = self.config.model.method
        if not self.config.prediction.draws:
            return
        if method is not None:
            if hasattr(plugins.load_module("astrocnn.estimators.methods", method), "members"):
                return
            problem, others = f"The method '{method}' has no draws.", ""
        else:
            layers = self.network.layers
            if any(isinstance(x, keras.layers.Dropout) and x.rate > 0 for x in layers):
                return
            problem = f"The network '{self.network.name}' has no dropout to draw from."
            others = "--set model.options.head_dropout=0.5, or "
        raise ModelError(
            problem,
            received=f"prediction.draws = {self.config.prediction.draws}",
            hint=f"{others}--set prediction.draws=0",
        )


def get_members(estimator: Any) -> tuple[Any, ...]:
    """Members of an ensemble; any other estimator alone."""
    return tuple(getattr(estimator, "members", (estimator,)))


def build_survey(mapping: Mapping[str, Any], root: Path) -> Survey:
    """Build a survey from plain values; stamps in an ``archive`` are unpacked once.

    Parameters
    ----------
    mapping : mapping
        As in a survey file; ``root`` in it, if any, goes before `root`.  With ``archive``, a tar
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


def load_survey(path: Path) -> Survey:
    """Load the survey of a file."""
    mapping = read_survey_file(path)
    if isinstance(kind := mapping.get("kind"), str):
        plugins.trust(kind)
    return build_survey(mapping, Path())


def select_bands(survey: Survey, bands: Iterable[str]) -> Survey:
    """Return the survey with the given bands, in their order.

    Raises
    ------
    ConfigError
        If it lacks one of them.
    """
    bands = tuple(bands)
    by_name = {band.name: band for band in survey.bands}
    absent = [name for name in bands if name not in by_name]
    if absent:
        raise ConfigError(
            f"The survey '{survey.name}' lacks a band that the inputs ask for.",
            received=absent,
            allowed=survey.band_names,
            hint=nearest(absent[0], survey.band_names),
        )
    reference = survey.reference if survey.reference in bands else None
    return replace(survey, bands=tuple(by_name[name] for name in bands), reference=reference)


def _load_families(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a task in which a family from outside is loaded."""
    loaded = {}
    for key, value in options.items():
        if isinstance(value, Mapping):
            value = _load_families(value)
        elif key == "family" and isinstance(value, str) and plugins.is_outside(value):
            value = plugins.load("families", value)
        loaded[key] = value
    return loaded


def build_steps(section: AugmentationSection) -> tuple[Any, ...]:
    """Steps of the package and of the user."""
    return (*datasets.build_steps(section.named), *map(_build_step, section.steps))


def _build_step(step: str | Mapping[str, Any]) -> Any:
    """A step of the augmentation from a leaf, or from a table with a leaf and its arguments."""
    options = {"name": step} if isinstance(step, str) else dict(step)
    return datasets.build_step(options.pop("name"), options or True)
