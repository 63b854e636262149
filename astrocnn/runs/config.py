"""Run files: TOML parsed into frozen, validated models.

A run file says what is predicted (``[task]``), from what (``[catalog]``, ``survey``,
``[inputs]``) and how (``[model]``, ``[augmentation]``, ``[training]``).  All mistakes of a
file are reported at once.  This folder is the only code that ever sees a configuration:
everything below takes plain arguments.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from astrocnn import plugins
from astrocnn.errors import ConfigError, TrainingError
from astrocnn.models import Options
from astrocnn.plugins import module_names, nearest
from astrocnn.runs.config_errors import Section, format_validation_error
from astrocnn.runs.search.section import SearchSection
from astrocnn.training import OPTIMIZERS, PARAMETERS, SCHEDULES, Optimizer

__all__ = [
    "NETWORK",
    "RunConfig",
    "dump_portable",
    "dump_run",
    "list_leaves",
    "load_run",
    "parse_run",
    "read_survey_file",
]


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

    file: str
    hdu: int | str | None = None
    id: str | None = None
    ra: str | None = None
    dec: str | None = None
    missing: tuple[float, ...] | None = None


class InputsSection(Section):
    """What the network sees of one object."""

    bands: tuple[str, ...] | None = None
    size: int = Field(64, ge=4, le=4096)
    scalars: tuple[str, ...] = ()
    stretch: Literal["none", "linear", "asinh", "log"] = "asinh"
    robust: bool = False
    whiten: bool = False
    mask_channel: bool = False


class SplitSection(Section):
    """Train, validation and test fractions, by a hash of `by`: stable when rows are added."""

    by: str = "id"
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    seed: int = 0
    resolution: float = Field(0.25, gt=0)

    @model_validator(mode="after")
    def _sum_to_one(self) -> SplitSection:
        if min(self.fractions) < 0 or abs(sum(self.fractions) - 1) > 1e-6:
            raise ValueError("the three fractions must be positive and sum to 1")
        return self


class TaskSection(BaseModel):
    """The task's name; its other keys are the arguments of the task itself."""

    model_config = ConfigDict(frozen=True, extra="allow")
    name: Annotated[str, _leaf("tasks")]

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class ModelSection(Section):
    """A network (an architecture and its block options), several, or a classical method."""

    architecture: Annotated[str, _leaf("architectures")] | None = None
    members: int = Field(1, ge=1)
    method: Annotated[str, _component("astrocnn.estimators.methods")] | None = None
    features: tuple[Annotated[str, _component("astrocnn.features", but=NETWORK)], ...] = ()
    options: dict[str, Any] = Field({})

    @model_validator(mode="before")
    @classmethod
    def _one_kind(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("method") is None:
            if values.get("features"):
                raise ValueError("features are for a method: a network finds its own")
            return {"architecture": "plain8", **values}
        if values.get("architecture") is not None:
            raise ValueError("give either a method or an architecture")
        if values.get("members", 1) != 1:
            raise ValueError("members are for networks: a classical method has none")
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


class AugmentationSection(Section):
    """Random transformations of training images. Zero or false disables one.

    `steps` are the user's own: leaves, or tables with the ``name`` of a leaf and its arguments.
    """

    d4: bool | Literal["rotations"] = True
    shift: float = Field(0.0, ge=0)
    rotation: bool | float = False
    zoom: float = Field(0.0, ge=0, lt=1)
    gain: float = Field(0.0, ge=0)
    noise: float = Field(0.0, ge=0)
    band_dropout: float = Field(0.0, ge=0, lt=1)
    steps: tuple[Annotated[str, _leaf("augmentations")] | dict[str, Any], ...] = ()

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
    batch_size: int = Field(64, ge=1)
    optimizer: Annotated[str, _choice(lambda: OPTIMIZERS)] = "adam"
    learning_rate: float = Field(1e-3, gt=0)
    schedule: Annotated[str, _choice(lambda: SCHEDULES)] = "constant"
    warmup: float = Field(0.0, ge=0)
    floor: float = Field(0.01, ge=0, le=1)
    average: float | None = Field(None, gt=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    parameters: dict[str, bool | float] | None = None
    clip_norm: float | None = Field(None, gt=0)
    patience: int = Field(10, ge=0)
    class_weights: bool = False
    strategy: Literal["auto", "one", "mirrored", "multiworker"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "float32"

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


class TransferSection(Section):
    """Initialization from a trained network, and fine-tuning.

    `start` is its run directory, or the folder of an estimator.  After `frozen_epochs`, during
    which only the heads learn, the other layers learn at `rate` times the learning rate, or at
    the factor that `rates` has for a layer by name.
    """

    start: str
    frozen_epochs: int = Field(5, ge=0)
    rate: float = Field(0.1, ge=0)
    rates: dict[str, Annotated[float, Field(ge=0)]] = Field({})


class PredictionSection(Section):
    """Monte-Carlo draws and test-time views of predictions."""

    draws: int = Field(50, ge=0)
    views: Literal["one", "d4"] = "one"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    pdf: Literal["none", "float32", "int16", "quantiles"] = "none"


class CalibrationSection(Section):
    """Calibrations that 'calibrate' fits on the validation split and 'predict' writes."""

    sets: float | None = Field(0.9, gt=0, lt=1)
    by: str | None = None
    novelty: bool = True


class SelectionSection(Section):
    """Selection of objects by a required completeness or purity."""

    completeness: float | None = Field(None, gt=0, lt=1)
    purity: float | None = Field(None, gt=0, lt=1)
    prior: float | None = Field(None, gt=0, lt=1)

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
    by: tuple[str, ...] = ()


class RunConfig(Section):
    """Configuration of one run."""

    title: str = "astrocnn run"
    seed: int = Field(0, ge=0, lt=2**32)
    root: Path = Path(".")
    catalog: CatalogSection
    survey: dict[str, Any] | None = None
    inputs: InputsSection = InputsSection()
    split: SplitSection = SplitSection()
    task: TaskSection
    model: ModelSection = ModelSection()
    augmentation: AugmentationSection = AugmentationSection()
    training: TrainingSection = TrainingSection()
    transfer: TransferSection | None = None
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
    def _a_network_begins(self) -> RunConfig:
        if self.transfer is not None and self.model.method is not None:
            raise ValueError("a classical method cannot begin with the weights of a network")
        return self


def load_run(
    path: str | Path, overrides: tuple[str, ...] | list[str] = (), *, trusted: bool = True
) -> RunConfig:
    """Read a run file.

    Parameters
    ----------
    path : path-like
        A TOML file. Relative paths in it count from its folder; ``$NAME`` is expanded when
        the file named is opened.
    overrides : sequence of str
        ``section.key=value`` with a TOML value, as given to ``--set``.
    trusted : bool
        Whether the user names the file here and now: Python code that it names may then be
        imported, see `astrocnn.plugins.trust`.

    Raises
    ------
    ConfigError
        If the file is missing, is not TOML, or holds anything unknown or out of range: all
        mistakes in one message.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(
            "The run file is a folder." if path.is_dir() else "The run file does not exist.",
            received=str(path),
            hint="give the path of a .toml file, for instance one of pipelines/",
        )
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}.") from error
    if "bands" in raw and "task" not in raw:
        raise ConfigError(
            f"{path} describes a survey, not a run.",
            hint='name it in a run file: survey = "..."',
        )
    for override in overrides:
        _override(raw, override)
    raw.setdefault("root", str(path.resolve().parent))
    survey = raw.get("survey")
    if isinstance(survey, str):
        raw["survey"] = read_survey_file(Path(raw["root"]) / survey)
    config = parse_run(raw, where=str(path), folder=path.resolve().parent)
    if trusted:
        for _, leaf in list_leaves(config):
            plugins.trust(leaf)
    return config


def parse_run(raw: dict[str, Any], where: str = "the run", folder: Path | None = None) -> RunConfig:
    """Validate a nested mapping as a run; all mistakes in one `ConfigError`.

    Parameters
    ----------
    raw : dict
        The tables of a run file.
    where : str
        What to call it in a sentence.
    folder : Path, optional
        The folder from which files of leaves count; by default the current one.

    Returns
    -------
    RunConfig

    Raises
    ------
    ConfigError
        If anything is unknown, absent or out of range.
    """
    raw = _map_leaves(raw, lambda kind, leaf: plugins.resolve(leaf, folder))
    try:
        return RunConfig.model_validate(raw, context={"run": RunConfig})
    except ValidationError as error:
        raise ConfigError(format_validation_error(error, RunConfig, where)) from None


def list_leaves(config: RunConfig) -> list[tuple[str, str]]:
    """List kind and reference of every leaf that a run names."""
    leaves: list[tuple[str, str]] = []

    def collect(kind: str, leaf: str) -> str:
        leaves.append((kind, leaf))
        return leaf

    _map_leaves(config.model_dump(mode="json"), collect)
    return leaves


def dump_run(config: RunConfig) -> str:
    """Serialize the resolved run as TOML, which reads back as the same run."""
    return tomli_w.dumps(_without_none(config.model_dump(mode="json")))


def dump_portable(config: RunConfig) -> tuple[str, dict[str, bytes]]:
    """The resolved run as TOML that names copies of the files of leaves, and these copies.

    Returns
    -------
    text : str
    files : dict of str to bytes
        Contents by their path, which counts from the folder of the run file.
    """
    files: dict[str, bytes] = {}

    def copy(kind: str, leaf: str) -> str:
        text, content = plugins.portable(leaf)
        if content is not None:
            files[plugins.split_reference(text)[0]] = content
        return text

    raw = _map_leaves(config.model_dump(mode="json"), copy)
    return tomli_w.dumps(_without_none(raw)), files


def _map_leaves(raw: Any, change: Callable[[str, str], str]) -> Any:
    """The tables of a run file with another reference in place of each leaf.

    Nothing is validated yet: what is not where it should be stays as it is.
    """
    if not isinstance(raw, dict):
        return raw

    def replace(table: Any, key: str, kind: str) -> Any:
        if not isinstance(table, dict) or not isinstance(table.get(key), str):
            return table
        return {**table, key: change(kind, table[key])}

    def replace_families(table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        inner = {key: replace_families(value) for key, value in table.items()}
        outside = isinstance(inner.get("family"), str) and plugins.is_outside(inner["family"])
        return replace(inner, "family", "families") if outside else inner

    def replace_step(step: Any) -> Any:
        return (
            change("augmentations", step)
            if isinstance(step, str)
            else replace(step, "name", "augmentations")
        )

    raw = dict(raw)
    for name, key, kind in (
        ("task", "name", "tasks"),
        ("model", "architecture", "architectures"),
        ("survey", "kind", "sources"),
    ):
        if name in raw:
            raw[name] = replace(raw[name], key, kind)
    if "task" in raw:
        raw["task"] = replace_families(raw["task"])
    augmentation = raw.get("augmentation")
    if isinstance(augmentation, dict) and isinstance(augmentation.get("steps"), list | tuple):
        steps = [replace_step(step) for step in augmentation["steps"]]
        raw["augmentation"] = {**augmentation, "steps": steps}
    return raw


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return value


def read_survey_file(path: Path) -> dict[str, Any]:
    """A survey file as plain values, with the folder its relative paths count from."""
    if not path.is_file():
        raise ConfigError("The survey file does not exist.", received=str(path))
    try:
        survey = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}.") from error
    if "task" in survey and "bands" not in survey:
        raise ConfigError(
            f"{path} is a run file, not a survey.",
            hint="give the file that it names under survey",
        )
    folder = path.resolve().parent
    if isinstance(survey.get("kind"), str):
        survey["kind"] = plugins.resolve(survey["kind"], folder)
    return {"root": str(folder), **survey}


def _override(raw: dict[str, Any], text: str) -> None:
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise ConfigError(
            "An override must read section.key=value.",
            received=text,
            hint="--set training.epochs=3",
        )
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    *folders, leaf = key.strip().split(".")
    table = raw
    for folder in folders:
        table = table.setdefault(folder, {})
        if not isinstance(table, dict):
            raise ConfigError(f"'{folder}' is a value, not a table.", received=text)
    table[leaf] = parsed
