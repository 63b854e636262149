"""The tables of a run file as frozen, validated models, with the meaning of each key.

This folder is the only code that ever sees a configuration: everything below takes plain
arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from astrocnn import plugins
from astrocnn.errors import ConfigError, TrainingError
from astrocnn.models import Options
from astrocnn.plugins import module_names, nearest
from astrocnn.runs.config_errors import Section
from astrocnn.runs.search.section import SearchSection
from astrocnn.training import OPTIMIZERS, PARAMETERS, SCHEDULES, Optimizer, Recipe

__all__ = ["NETWORK", "START_OPTIONS", "RunConfig"]


START_OPTIONS = frozenset(
    ("recipe", "frozen_epochs", "body_rate", "layer_decay", "frozen_statistics", "layer_rates")
)
"""Keys of ``[training]`` that have a meaning with initial weights alone."""

NETWORK = "cnn:"
"""What goes in ``model.features`` before the run directory of a trained network."""


def _choice(known: Callable[[], Sequence[str]], *, but: str | None = None) -> AfterValidator:
    """Return a validator that accepts known names, and any name with the prefix `but`."""

    def check(name: str) -> str:
        if name not in known() and not (but and name.startswith(but)):
            hint = nearest(name, known()) or f"known: {', '.join(known())}"
            raise ValueError(f"there is no '{name}'; {hint}")
        return name

    return AfterValidator(check)


def _component(package: str, **options: Any) -> AfterValidator:
    return _choice(lambda: module_names(package), **options)


def _check_leaf(kind: str, leaf: str) -> str:
    try:
        plugins.check(kind, leaf)
    except ConfigError as error:
        if plugins.is_outside(leaf):
            raise ValueError(f"{error.what[0].lower()}{error.what[1:].rstrip('.')}") from None
        known = plugins.names(kind)
        hint = nearest(leaf, known) or f"known: {', '.join(known) or 'none'}"
        raise ValueError(f"there is no '{leaf}'; {hint}") from None
    return leaf


def _leaf(kind: str) -> AfterValidator:
    """Raise if a leaf does not exist, without importing it."""
    return AfterValidator(lambda leaf: _check_leaf(kind, leaf))


class CatalogSection(Section):
    """The table of objects. Missing column roles are guessed from common names."""

    file: str | tuple[str, ...]
    """Table of objects, or a list of tables that are joined; ``$NAME`` is expanded, and relative
    paths count from the run file. With a list, `split.files` may say which is for training and
    which for the test."""
    hdu: int | str | None = None
    """HDU or table of the file, by number or name; by default the first table."""
    id: str | None = None
    """Column of the identifiers."""
    ra: str | None = None
    """Column of the right ascension."""
    dec: str | None = None
    """Column of the declination."""
    missing: tuple[Annotated[float, Field(allow_inf_nan=True)], ...] | None = None
    """Values of numeric columns that mean "no value", such as -99."""

    @field_validator("file")
    @classmethod
    def _each_once(cls, file: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not isinstance(file, str) and (not file or len(set(file)) < len(file)):
            raise ValueError("name one file or more, each once")
        return file

    @property
    def files(self) -> tuple[str, ...]:
        """The file, or the files."""
        return (self.file,) if isinstance(self.file, str) else self.file


class InputsSection(Section):
    """What the network sees of one object."""

    bands: tuple[str, ...] | None = None
    """Bands in the order of the channels; by default all bands of the survey."""
    size: int = Field(64, ge=4, le=4096)
    """Side of the square cutouts [pixel]."""
    scalars: tuple[str, ...] = ()
    """Columns, or differences of columns such as ``"mag_g - mag_r"``, given to the network as
    numbers."""
    stretch: Literal["none", "linear", "asinh", "log"] = "asinh"
    """Compression of the pixel values; ``asinh`` for fluxes, ``linear`` for images stretched for
    display."""
    robust: bool = False
    """Scale each band by the median and MAD of its pixels in place of the mean and standard
    deviation."""
    whiten: bool = False
    """Remove the linear correlation of the bands (ZCA)."""
    mask_channel: bool = False
    """Add a channel for each band that marks pixels without data; objects with missing bands are
    then predicted."""


class SplitSection(Section):
    """Train, validation and test fractions, by a hash of `by`: stable when rows are added."""

    by: str = "id"
    """``"id"``, ``"sky"`` (objects of one sky pixel stay together), or a column whose equal values
    stay together."""
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    """Fractions of the training, validation and test split."""
    seed: int = 0
    """Seed of the hash."""
    resolution: float = Field(0.25, gt=0)
    """Size of the sky pixels of ``by = "sky"`` [deg]."""
    files: tuple[Literal["train", "validation", "test"], ...] | None = None
    """Split of each file of the list ``catalog.file``, such as ``["train", "test"]``. Where none is
    for validation, training files are divided in the ratio of the first two fractions."""

    @model_validator(mode="after")
    def _sum_to_one(self) -> SplitSection:
        if min(self.fractions) < 0 or abs(sum(self.fractions) - 1) > 1e-6:
            raise ValueError("the three fractions must be positive and sum to 1")
        return self


class TaskSection(BaseModel):
    """The task's name; its other keys are the arguments of the task itself."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)
    name: Annotated[str, _leaf("tasks")]
    """Name of a task, or ``path/to/file.py:attribute``."""

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class ModelSection(Section):
    """A network (an architecture and its block options), several, or a classical method."""

    architecture: Annotated[str, _leaf("architectures")] | None = None
    """Name of an architecture, or ``path/to/file.py:attribute``; ``plain8`` if there is no
    `method`."""
    members: int = Field(1, ge=1)
    """Number of networks of a deep ensemble."""
    weights: str | None = None
    """Initial weights: the directory of a trained run, a file or folder of published weights,
    ``"imagenet"``, or ``"package:NAME"``; random if left out."""
    method: Annotated[str, _component("astrocnn.estimators.methods")] | None = None
    """Classical method in place of a network."""
    classical: dict[Annotated[str, _component("astrocnn.estimators.methods")], dict[str, Any]] = (
        Field({})
    )
    """Classical methods that predict beside the networks, as further members of one ensemble, with
    their options: ``{ svm = { C = 10 } }``."""
    features: tuple[Annotated[str, _component("astrocnn.features", but=NETWORK)], ...] = ()
    """Hand-made features for classical methods, or ``"cnn:RUN_DIR"`` for those of a trained
    network."""
    options: dict[str, Any] = Field({})
    """Options of the layers, or of the method: see below."""

    @model_validator(mode="before")
    @classmethod
    def _one_kind(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("method") is None:
            if values.get("features") and not values.get("classical"):
                raise ValueError("features are for a method: a network finds its own")
            return {"architecture": "plain8", **values}
        if values.get("architecture") is not None:
            raise ValueError("give either a method or an architecture")
        if values.get("weights") is not None:
            raise ValueError("a classical method cannot begin with the weights of a network")
        if values.get("members", 1) != 1:
            raise ValueError("members are for networks: a classical method has none")
        if values.get("classical"):
            raise ValueError("classical methods stand beside networks: give an architecture")
        return values

    @field_validator("options")
    @classmethod
    def _each_by_itself(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        """Validate each option alone; combinations are validated when the layers are built."""
        wrong = []
        for name, value in options.items():
            try:
                if info.data.get("method", "") is None and name != "groups":
                    Options.from_dict({name: value})
            except ConfigError as error:
                detail = error.hint or f"allowed: {error.allowed}"
                got = "" if error.received is None else f"received {error.received}; "
                problem = error.what[0].lower() + error.what[1:].rstrip(".")
                wrong.append(f"{problem} ({got}{detail})")
        if wrong:
            raise ValueError("; ".join(wrong))
        return options


_Level = Annotated[float, Field(ge=0)]


class AugmentationSection(Section):
    """Random transformations of training images. Zero or false disables one.

    `steps` are the user's own: leaves, or tables with the ``name`` of a leaf and its arguments.
    """

    d4: bool | Literal["rotations"] = True
    """The eight symmetries of the square; ``"rotations"`` leaves out the mirror images."""
    crop: float = Field(0.0, ge=0, lt=1)
    """Largest fraction of the side that is cut off at random; the rest is enlarged to the stamp."""
    shift: float = Field(0.0, ge=0)
    """Largest shift along each axis [pixel]."""
    rotation: bool | float = False
    """Rotation by any angle; a number is the largest angle [deg]."""
    zoom: float = Field(0.0, ge=0, lt=1)
    """Largest relative change of scale."""
    blur: float = Field(0.0, ge=0)
    """Largest standard deviation of a Gaussian that widens the point-spread function [pixel]."""
    gain: float = Field(0.0, ge=0)
    """Standard deviation of the error of the zero point, for each band and object [mag]."""
    background: float = Field(0.0, ge=0)
    """Standard deviation of a constant added to each band, in units of its sky noise."""
    noise: _Level | tuple[_Level, _Level] = 0.0
    """Standard deviation of added noise, in units of the sky noise of each band; of a list of two,
    for each object its own, uniform between them."""
    band_dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of removing a band."""
    steps: tuple[Annotated[str, _leaf("augmentations")] | dict[str, Any], ...] = ()
    """Your own steps: leaves, or tables with the ``name`` of a leaf and its arguments."""

    @property
    def named(self) -> dict[str, Any]:
        """Values of the steps of this package, by name."""
        return self.model_dump(exclude={"steps"})

    @field_validator("noise")
    @classmethod
    def _ascending(cls, noise: float | tuple[float, float]) -> float | tuple[float, float]:
        if isinstance(noise, tuple) and noise[0] > noise[1]:
            raise ValueError("the lower noise level comes first")
        return noise

    @field_validator("steps")
    @classmethod
    def _have_names(cls, steps: tuple[str | dict[str, Any], ...]) -> Any:
        for step in steps:
            if isinstance(step, dict):
                if not isinstance(step.get("name"), str):
                    raise ValueError('a step is a leaf or a table: { name = "my.py:Step" }')
                _check_leaf("augmentations", step["name"])
        return steps


class TrainingSection(Section):
    """Optimization of the weights.

    `parameters` are those of the optimizer itself: ``{ momentum = 0.95 }``.
    """

    epochs: int = Field(40, ge=1)
    """Largest number of passes over the training split."""
    batch_size: int = Field(64, ge=1)
    """Objects per step, over all devices."""
    optimizer: Annotated[str, _choice(lambda: OPTIMIZERS)] = "adam"
    """Name of the optimizer."""
    learning_rate: float = Field(1e-3, gt=0)
    """Learning rate at its highest."""
    schedule: Annotated[str, _choice(lambda: SCHEDULES)] = "constant"
    """Change of the learning rate with time."""
    warmup: float = Field(0.0, ge=0)
    """Epochs of linear increase at the beginning."""
    floor: float = Field(0.01, ge=0, le=1)
    """Lowest learning rate, as a fraction of `learning_rate`."""
    average: float | None = Field(None, gt=0, lt=1)
    """Decay of an exponential average of the weights, which is then the result; 0.999 for
    instance."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled decay of the weights per step, times the learning rate."""
    parameters: dict[str, bool | float] | None = None
    """Parameters of the optimizer itself, such as ``{ momentum = 0.95 }``."""
    clip_norm: float | None = Field(None, gt=0)
    """Largest norm of the gradient."""
    patience: int = Field(10, ge=0)
    """Epochs without improvement of the validation loss before training stops; 0 never stops."""
    pseudo_labels: float | None = Field(None, gt=0, lt=1)
    """Least calibrated probability with which objects of the training split without a label get
    the predicted class as one, for a second training; 0.95 for instance."""
    class_weights: bool = False
    """Weight classes in the loss by the inverse of their frequency."""
    strategy: Literal["auto", "one", "mirrored", "multiworker"] = "auto"
    """Distribution over devices; ``auto`` mirrors over all GPUs of a node."""
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    """Arithmetic; weights are float32 always. ``auto`` takes bfloat16 where the hardware has it."""
    recipe: Recipe = "probe-then-finetune"
    """What learns of a network with initial weights: ``probe``, the heads alone; ``finetune``,
    all layers; or the heads for `frozen_epochs`, and then all."""
    frozen_epochs: int = Field(5, ge=0)
    """Epochs in which only the heads learn, with initial weights."""
    body_rate: float = Field(0.1, ge=0)
    """Learning rate of the other layers, as a fraction of `learning_rate`, with initial
    weights."""
    layer_decay: float = Field(1.0, gt=0, le=1)
    """Further factor from each size of the feature maps to the next larger one, with initial
    weights."""
    frozen_statistics: bool = True
    """Whether batch normalization keeps the statistics and factors of the initial weights."""
    layer_rates: dict[str, Annotated[float, Field(ge=0)]] = Field({})
    """Factors on the learning rate of single layers, by name, with initial weights."""
    log_to: tuple[Literal["tensorboard", "mlflow"], ...] = ()
    """Programs that get the curves and figures while the network learns: ``["tensorboard"]`` writes
    to the folder ``tensorboard`` of the run directory, and ``"mlflow"`` to ``mlflow`` there or to
    ``MLFLOW_TRACKING_URI``."""

    @field_validator("parameters")
    @classmethod
    def _of_the_optimizer(
        cls, parameters: dict[str, bool | float] | None, info: ValidationInfo
    ) -> dict[str, bool | float] | None:
        if parameters and "optimizer" in info.data:
            try:
                Optimizer(info.data["optimizer"], options=parameters)
            except TrainingError as error:
                known = f"allowed: {', '.join(PARAMETERS[info.data['optimizer']])}"
                raise ValueError(f"{error.what.rstrip('.')}; {error.hint or known}") from None
        return parameters


_DEFAULT = TrainingSection()


class ViewsSection(AugmentationSection):
    """Random transformations that make the two views of an object in `pretrain`.

    As ``[augmentation]``, with other defaults. What differs between the views is what the features
    shall not depend on: leave out what you want to find in them.
    """

    crop: float = Field(0.3, ge=0, lt=1)
    """Largest fraction of the side that is cut off at random; the rest is enlarged to the stamp."""
    blur: float = Field(1.0, ge=0)
    """Largest standard deviation of a Gaussian that widens the point-spread function [pixel]."""
    background: float = Field(0.2, ge=0)
    """Standard deviation of a constant added to each band, in units of its sky noise."""
    noise: _Level | tuple[_Level, _Level] = (0.0, 1.0)
    """Standard deviation of added noise, in units of the sky noise of each band; of a list of two,
    for each object its own, uniform between them."""


class PretrainingSection(Section):
    """Learning without labels by `pretrain`; other commands do not read it."""

    method: Annotated[str, _leaf("pretraining")] = "simclr"
    """Name of a method, or ``path/to/file.py:attribute``."""
    options: dict[str, Any] = Field({})
    """Options of its loss, such as ``{ temperature = 0.5 }``."""
    projector: tuple[Annotated[int, Field(ge=2)], ...] | None = Field(None, min_length=1)
    """Units of the layers between the features and the loss; by default those of the method."""
    epochs: int = Field(100, ge=0)
    """Passes over the objects of the training split, with or without labels; with 0 the initial
    weights of ``[model]`` are kept as they are."""
    batch_size: int = Field(256, ge=4)
    """Objects per step, each with two views."""
    learning_rate: float = Field(1e-3, gt=0)
    """Learning rate of AdamW at its highest; it rises for a tenth of the epochs and falls as a
    cosine."""
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    """Arithmetic, as in ``[training]``."""
    augmentation: ViewsSection = ViewsSection()
    """Table of the transformations that make the views."""


class PredictionSection(Section):
    """Monte-Carlo draws and test-time views of predictions."""

    draws: int = Field(50, ge=0)
    """Monte-Carlo dropout draws per object; 0 for one deterministic pass."""
    views: Literal["one", "d4"] = "one"
    """``d4`` averages over the eight orientations."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of predictions. ``auto`` takes bfloat16 where a trial of this network, timed once
    on each kind of processor, finds it faster and the validation objects change little."""
    pdf: Literal["none", "float32", "int16", "quantiles"] = "none"
    """Form in which the density of quantities is stored: not at all, in bins of 4 or 2 bytes, or
    as quantiles."""


class CalibrationSection(Section):
    """Calibrations that 'calibrate' fits on the validation split and 'predict' writes."""

    sets: float | None = Field(0.9, gt=0, lt=1)
    """Coverage of conformal sets and intervals."""
    by: str | None = None
    """Column in whose bins the coverage shall hold."""


class SelectionSection(Section):
    """Selection of objects by a required completeness or purity."""

    completeness: float | None = Field(None, gt=0, lt=1)
    """Required fraction of the wanted objects that is kept."""
    purity: float | None = Field(None, gt=0, lt=1)
    """Required fraction of wanted objects among those kept."""
    prior: float | None = Field(None, gt=0, lt=1)
    """Fraction of wanted objects in the survey, if it differs from that of the labelled sample."""

    @model_validator(mode="after")
    def _one_aim(self) -> SelectionSection:
        if self.completeness is not None and self.purity is not None:
            raise ValueError("ask for a completeness or a purity, not for both")
        return self


class EvaluationSection(Section):
    """Baselines and groupings of the evaluation.

    `cut`, a column to cut on, is a baseline; `by` names columns to draw the errors along.
    """

    cut: str | None = None
    """Column whose best single threshold is a baseline."""
    by: tuple[str, ...] = ()
    """Columns along which errors are plotted."""


class RunConfig(Section):
    """Configuration of one run."""

    title: str = "astrocnn run"
    """Title of reports and figures."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Seed of initialization, order, dropout and augmentation."""
    root: Path = Path(".")
    """Folder from which relative paths count; by default that of the run file."""
    catalog: CatalogSection
    survey: dict[str, Any] | None = None
    """Path of a survey file, or its content as a table; left out for runs without images."""
    inputs: InputsSection = InputsSection()
    split: SplitSection = SplitSection()
    task: TaskSection
    model: ModelSection = ModelSection()
    augmentation: AugmentationSection = AugmentationSection()
    training: TrainingSection = TrainingSection()
    pretraining: PretrainingSection | None = None
    prediction: PredictionSection = PredictionSection()
    calibration: CalibrationSection = CalibrationSection()
    selection: SelectionSection = SelectionSection()
    evaluation: EvaluationSection = EvaluationSection()
    search: SearchSection | None = None

    @model_validator(mode="after")
    def _sees_something(self) -> RunConfig:
        if self.survey is None and not self.inputs.scalars:
            raise ValueError("give a survey, or inputs.scalars for a run without images")
        return self

    @model_validator(mode="after")
    def _each_file_has_a_split(self) -> RunConfig:
        files, names = self.split.files, self.catalog.files
        if files is None:
            return self
        if len(files) != len(names) or isinstance(self.catalog.file, str):
            raise ValueError(
                f"split.files names {len(files)} splits, catalog.file a list of {len(names)}: give "
                "a split for each file of a list"
            )
        if "train" not in files:
            raise ValueError("split.files names no file for training")
        return self

    @model_validator(mode="after")
    def _pseudo_labels_are_for_networks(self) -> RunConfig:
        model = self.model
        if self.training.pseudo_labels is not None and (model.method or model.classical):
            raise ValueError("training.pseudo_labels is for networks, not for classical methods")
        return self

    @model_validator(mode="after")
    def _features_come_from_somewhere(self) -> RunConfig:
        section = self.pretraining
        if section is not None and not section.epochs and self.model.weights is None:
            raise ValueError(
                "pretraining.epochs = 0 keeps the initial weights: name them in model.weights"
            )
        return self

    @model_validator(mode="after")
    def _a_recipe_needs_weights(self) -> RunConfig:
        section = self.training
        # A resolved run holds the defaults too.
        given = {k for k in START_OPTIONS if getattr(section, k) != getattr(_DEFAULT, k)}
        if given and self.model.weights is None:
            names = ", ".join(sorted(given))
            raise ValueError(
                f"training.{names} is for a network with initial weights: name them in "
                "model.weights"
            )
        return self
