"""Run files: TOML in, frozen models out.

A run file says what is predicted (``[task]``), from what (``[catalog]``, ``survey``,
``[inputs]``) and how (``[model]``, ``[augmentation]``, ``[training]``).  All mistakes of a
file are reported at once.  This folder is the only code that ever sees a configuration:
everything below takes plain arguments.
"""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import tomli_w
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from astrocnn.errors import ConfigError
from astrocnn.plugins import names, nearest
from astrocnn.runs.searching.ranges import Range
from astrocnn.runs.searching.space import grid_size

__all__ = ["NETWORK", "RunConfig", "dump_run", "load_run", "parse_run"]


NETWORK = "cnn:"
"""What goes in ``model.features`` before the run directory of a trained network."""


class Section(BaseModel):
    """A table of the run file: unknown keys are refused, values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class CatalogSection(Section):
    """The table of objects. Roles left out are found by their usual names."""

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
    """Which rows train, choose and test: a hash of `by`, so stable when rows are added."""

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
    name: str

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class ModelSection(Section):
    """A network (an architecture and its block options), several, or a classical method."""

    architecture: str | None = None
    members: int = Field(1, ge=1)
    method: str | None = None
    features: tuple[str, ...] = ()
    options: dict[str, Any] = {}

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


class AugmentationSection(Section):
    """What may vary between two looks at the same object. Zero or false switches a part off."""

    d4: bool | Literal["rotations"] = True
    shift: float = Field(0.0, ge=0)
    rotation: bool | float = False
    zoom: float = Field(0.0, ge=0, lt=1)
    gain: float = Field(0.0, ge=0)
    noise: float = Field(0.0, ge=0)
    band_dropout: float = Field(0.0, ge=0, lt=1)


class TrainingSection(Section):
    """How the weights are found."""

    epochs: int = Field(40, ge=1)
    batch_size: int = Field(64, ge=1)
    optimizer: str = "adam"
    learning_rate: float = Field(1e-3, gt=0)
    schedule: str = "constant"
    warmup: float = Field(0.0, ge=0)
    floor: float = Field(0.01, ge=0, le=1)
    average: float | None = Field(None, gt=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float | None = Field(None, gt=0)
    patience: int = Field(10, ge=0)
    class_weights: bool = False
    strategy: Literal["auto", "one", "mirrored", "multiworker"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "float32"


class TransferSection(Section):
    """With which trained network the training begins, and how.

    `start` is its run directory, or the folder of an estimator.  After `frozen_epochs`, during
    which only the heads learn, the other layers learn at `rate` times the learning rate, or at
    the factor that `rates` has for a layer by name.
    """

    start: str
    frozen_epochs: int = Field(5, ge=0)
    rate: float = Field(0.1, ge=0)
    rates: dict[str, Annotated[float, Field(ge=0)]] = {}


class PredictionSection(Section):
    """How predictions are drawn."""

    draws: int = Field(50, ge=0)
    views: Literal["one", "d4"] = "one"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    pdf: Literal["none", "float32", "int16", "quantiles"] = "none"


class CalibrationSection(Section):
    """What 'calibrate' fits on the validation split, and what of it 'predict' writes."""

    sets: float | None = Field(0.9, gt=0, lt=1)
    by: str | None = None
    novelty: bool = True


class SelectionSection(Section):
    """Which objects are selected: by a completeness or a purity asked for."""

    completeness: float | None = Field(None, gt=0, lt=1)
    purity: float | None = Field(None, gt=0, lt=1)
    prior: float | None = Field(None, gt=0, lt=1)

    @model_validator(mode="after")
    def _one_aim(self) -> SelectionSection:
        if self.completeness is not None and self.purity is not None:
            raise ValueError("ask for a completeness or a purity, not for both")
        return self


class EvaluationSection(Section):
    """What stands beside the network's scores.

    `cut`, a column to cut on, is a baseline; `by` names columns to draw the errors along.
    """

    cut: str | None = None
    by: tuple[str, ...] = ()


def _varied(path: str) -> str:
    """A dotted path that a search may vary: one that leaves objects, labels and scores alone."""
    head, *rest = path.split(".")
    free = [name for name in RunConfig.model_fields if name not in _SAME_IN_ALL_TRIALS]
    if head in _SAME_IN_ALL_TRIALS:
        raise ValueError(f"'{head}' is the same in all trials; vary {', '.join(free)}")
    known, at = free, []
    for part in (head, *rest):
        if part not in known:
            where = f" in {'.'.join(at)}" if at else ""
            hint = nearest(part, known) or f"known: {', '.join(known) or 'nothing'}"
            raise ValueError(f"there is no '{part}'{where}; {hint}")
        at.append(part)
        known = _option_names() if at == ["model", "options"] else _fields_at(tuple(at))
    return path


def _option_names() -> list[str]:
    from astrocnn.models import Options

    return [field.name for field in fields(Options)]


_SAME_IN_ALL_TRIALS = (
    *("title", "root", "catalog", "survey", "split", "task"),
    *("prediction", "calibration", "selection", "evaluation", "search"),
)
_MOST_POINTS = 1000


class SearchSection(Section):
    """Which values of the run 'search' tries, and how it chooses them."""

    sampler: Literal["random", "grid", "tpe"] = "random"
    trials: int | None = Field(None, ge=1, le=10000)
    seed: int = Field(0, ge=0, lt=2**63)
    objective: str = "val_loss"
    startup: int | None = Field(None, ge=1)
    pruning: bool = False
    prune_after: int | None = Field(None, ge=1)
    hours: float | None = Field(None, gt=0)
    space: dict[Annotated[str, AfterValidator(_varied)], Range]

    @property
    def count(self) -> int:
        """How many trials there are."""
        if self.sampler == "grid":
            return grid_size(self.space)
        return self.trials or 20

    @field_validator("space", mode="before")
    @classmethod
    def _flat(cls, space: Any) -> Any:
        """Paths may be written with or without quotation marks, as keys or as tables."""
        if not isinstance(space, dict):
            return space
        flat: dict[str, Any] = {}

        def add(tables: dict[str, Any], prefix: str) -> None:
            for key, value in tables.items():
                path = f"{prefix}{key}"
                inner = isinstance(value, dict) and value
                if inner and all(isinstance(v, dict) for v in value.values()):
                    add(value, f"{path}.")
                elif inner and isinstance(flat.get(path), dict):
                    flat[path] = {**flat[path], **value}
                else:
                    flat[path] = value

        add(space, "")
        return flat

    @model_validator(mode="after")
    def _makes_sense(self) -> SearchSection:
        wrong = list(self._mistakes())
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _mistakes(self) -> Any:
        if not self.space:
            yield "the space is empty: give at least one value to vary"
        if self.sampler == "grid":
            most = self.trials or _MOST_POINTS
            if self.count > most:
                sides = " x ".join(str(len(one.grid())) for one in self.space.values())
                yield (
                    f"the grid has {self.count:,} points ({sides}), and {most:,} are allowed: "
                    "give fewer points, or sampler = 'random'"
                )
        else:
            fixed = [name for name, one in self.space.items() if one.points is not None]
            if fixed:
                yield f"points are for a grid, not for sampler = '{self.sampler}' ({fixed[0]})"
            size = math.prod(one.size for one in self.space.values())
            if self.space and size < self.count:
                yield (
                    f"the space has only {size:.0f} points, and there are {self.count} trials: "
                    "give fewer trials, or sampler = 'grid'"
                )
        if self.startup is not None and self.sampler != "tpe":
            yield f"startup is for sampler = 'tpe', not '{self.sampler}'"
        if self.prune_after is not None and not self.pruning:
            yield "prune_after is of no use without pruning = true"


class RunConfig(Section):
    """One run, as asked for."""

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


def load_run(path: str | Path, overrides: tuple[str, ...] | list[str] = ()) -> RunConfig:
    """Read a run file.

    Parameters
    ----------
    path : path-like
        A TOML file. Relative paths in it count from its folder; ``$NAME`` is expanded when
        the file named is opened.
    overrides : sequence of str
        ``section.key=value`` with a TOML value, as given to ``--set``.

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
    return parse_run(raw, where=str(path))


def parse_run(raw: dict[str, Any], where: str = "the run") -> RunConfig:
    """Validate a nested mapping as a run; all mistakes in one `ConfigError`.

    Parameters
    ----------
    raw : dict
        The tables of a run file.
    where : str
        What to call it in a sentence.

    Returns
    -------
    RunConfig

    Raises
    ------
    ConfigError
        If anything is unknown, absent or out of range.
    """
    try:
        return RunConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(_all_mistakes(error, where)) from None


def dump_run(config: RunConfig) -> str:
    """The resolved run as TOML: reading it back gives the same run."""
    return tomli_w.dumps(_without_none(config.model_dump(mode="json")))


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
    return {"root": str(path.resolve().parent), **survey}


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


def _all_mistakes(error: ValidationError, where: str) -> str:
    found: dict[str, list[str]] = {}
    for mistake in error.errors(include_url=False):
        place = _place(mistake["loc"])
        if mistake["type"] == "extra_forbidden":
            known = _fields_at(mistake["loc"][:-1])
            hint = nearest(str(mistake["loc"][-1]), known)
            said = f"is not known; {hint or 'known here: ' + ', '.join(known)}"
        elif mistake["type"] == "missing":
            said = "is needed and absent"
        else:
            message = mistake["msg"].removeprefix("Value error, ")
            said = f"{message[0].lower()}{message[1:]}"
            if not isinstance(mistake["input"], dict):  # a whole table is not worth repeating
                said += f" (received {mistake['input']!r})"
            if mistake["type"] == "literal_error":
                known = re.findall("'([^']*)'", mistake["ctx"]["expected"])
                hint = nearest(str(mistake["input"]), known)
                said += f"; {hint}" if hint else ""
        found.setdefault(place, []).append(said)
    lines = [f"  {place or 'file'}: {'; or '.join(said)}" for place, said in found.items()]
    count = "One mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
    return f"{count} in {where}:\n" + "\n".join(lines)


def _place(loc: tuple[Any, ...]) -> str:
    """The path of a value; pydantic adds which of several types it tried."""
    parts = [str(part) for part in loc if part != "[key]"]
    while len(parts) > 1 and re.fullmatch(r"bool|int|float|str|literal\[.*", parts[-1]):
        parts.pop()
    return ".".join(parts)


def _fields_at(place: tuple[Any, ...]) -> list[str]:
    model: Any = RunConfig
    for part in place:
        if part not in model.model_fields:  # the name of an entry of a table
            continue
        annotation = model.model_fields[part].annotation
        model = next((a for a in (annotation, *get_args(annotation)) if _is_model(a)), None)
        if model is None:
            return []
    return list(model.model_fields)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def check_names(config: RunConfig) -> None:
    """Refuse a task, an architecture or a method that does not exist, with the nearest name."""
    wanted = [
        ("astrocnn.tasks", config.task.name, "task.name"),
        ("astrocnn.models.architectures", config.model.architecture, "model.architecture"),
        ("astrocnn.estimators.methods", config.model.method, "model.method"),
        *(
            ("astrocnn.features", name, "model.features")
            for name in config.model.features
            if not name.startswith(NETWORK)
        ),
    ]
    for package, name, place in wanted:
        if name is None:
            continue
        known = names(package)
        if name not in known:
            raise ConfigError(
                f"{place}: there is no '{name}'.", allowed=known, hint=nearest(name, known)
            )
