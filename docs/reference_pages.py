"""Generate the reference pages from the package: run-file keys, commands, components, flags."""

from __future__ import annotations

import csv
import inspect
import re
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import astrocnn
from astrocnn.cli import app
from astrocnn.imaging import Band, Survey
from astrocnn.models import Options
from astrocnn.plugins import folder, module_names
from astrocnn.runs.search.section import Range
from astrocnn.runs.sections import RunConfig, ViewsSection
from astrocnn.runs.verbs.list import KINDS, describe

__all__ = ["write_all"]

COSTS = Path(__file__).parents[1] / "data" / "prediction_costs.csv"
GALAXIES = 1e9

SECTIONS = {
    "catalog": 'file = "objects.fits"\nid = "OBJECT_ID"',
    "inputs": 'bands = ["g", "r", "i"]\nsize = 64\nscalars = ["mag_g - mag_r"]',
    "split": 'by = "sky"\nfractions = [0.7, 0.15, 0.15]',
    "task": 'name = "morphology"\ncolumn = "class"\nclasses = ["elliptical", "spiral"]',
    "model": 'architecture = "resnet18"\noptions = { width = 0.5, dropout = 0.3 }',
    "augmentation": "d4 = true\nshift = 1.5\nnoise = 0.5",
    "training": 'epochs = 60\noptimizer = "adamw"\nlearning_rate = 2e-3\nschedule = "cosine"',
    "pretraining": 'method = "simclr"\nepochs = 200\noptions = { temperature = 0.5 }\n\n'
    "[pretraining.augmentation]\nblur = 1.5\nnoise = [0.0, 0.5]",
    "prediction": 'draws = 50\nviews = "d4"\npdf = "int16"',
    "calibration": 'sets = 0.95\nby = "mag_r"',
    "selection": "completeness = 0.95",
    "evaluation": 'cut = "mag_r"\nby = ["mag_r"]',
    "search": 'sampler = "tpe"\ntrials = 30\n\n[search.space]\n'
    '"training.learning_rate" = { low = 1e-4, high = 1e-2, scale = "log" }',
}


def write_all(out: Path) -> None:
    """Write every generated page into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    pages = {
        "run_file": run_file(),
        "survey_file": survey_file(),
        "cli": command_line(),
        "components": components(),
        "flags": flags(),
        "costs": costs(),
    }
    for name, text in pages.items():
        path = out / f"{name}.md"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def run_file() -> str:
    """The page of the keys of a run file."""
    parts = [
        "# Run-file keys",
        "A run file is TOML. A key that is not listed here is an error. `astrocnn list` prints the "
        "names of components, and `--set section.key=value` overrides a value on the command line.",
        "## Top level",
        _field_table(RunConfig, skip=SECTIONS),
    ]
    for name, example in SECTIONS.items():
        section = _model_of(RunConfig.model_fields[name].annotation)
        # A table within a table has a table of keys of its own.
        inner = ("augmentation",) if name == "pretraining" else ()
        keys = _field_table(section, skip=inner)
        parts += [f"## `[{name}]`", _paragraph(section.__doc__), keys]
        parts.append(f"```toml\n[{name}]\n{example}\n```")
        if name == "task":
            parts += _tasks()
        elif name == "model":
            parts += ["### `[model.options]`", _doc_table(Options)]
        elif name == "pretraining":
            parts += ["### `[pretraining.augmentation]`", _paragraph(ViewsSection.__doc__)]
            parts.append(_field_table(ViewsSection))
        elif name == "search":
            parts += ["### Entries of `[search.space]`", _field_table(Range)]
    return "\n\n".join(parts) + "\n"


def survey_file() -> str:
    """The page of the keys of a survey file."""
    return (
        "\n\n".join(
            [
                "# Survey-file keys",
                "A survey file is TOML: keys of the survey, and a table `[[bands]]` for each "
                "band. A key of a band that is given at the top level holds for all bands.",
                "## Survey",
                _doc_table(Survey, skip=("bands",)),
                "## `[[bands]]`",
                _doc_table(Band),
                '```toml\nname = "Euclid"\nkind = "tiles"\nzero_point = "MAGZERO"\n\n'
                '[[bands]]\nname = "VIS"\nimage = "tiles/*VIS*.fits"\nrms = "rms/*VIS*.fits"\n```',
            ]
        )
        + "\n"
    )


def command_line() -> str:
    """The page of the commands."""
    parts = ["# Command line", "`astrocnn COMMAND --help` prints the same."]
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        usage = " ".join([f"astrocnn {name}", *(_metavar(p) for p in arguments), "[OPTIONS]"])
        parts += [f"## `{name}`", _paragraph(command.help), f"```\n{usage}\n```"]
        rows = [
            (
                f"`{', '.join(p.opts) if p.param_type_name == 'option' else _metavar(p)}`",
                _cell(getattr(p, "help", "") or ""),
                _default(p.default),
            )
            for p in command.params
            if p.name != "help"
        ]
        if rows:
            parts.append(_table(("option", "meaning", "default"), rows))
    return "\n\n".join(parts) + "\n"


def components() -> str:
    """The page of all leaves by kind, with their papers."""
    parts = ["# Components", "The names that a run file may use."]
    for kind, package in KINDS.items():
        rows = [
            (f"`{name}`", _cell(describe(folder(package) / f"{name}.py")))
            for name in module_names(package)
        ]
        parts += [f"## {kind.capitalize()}", _table(("name", "description"), rows)]
    return "\n\n".join(parts) + "\n"


def flags() -> str:
    """The page of the bit mask."""
    rows = [(f"{int(flag)}", f"`{flag.name}`", flag.sentence) for flag in astrocnn.Flag]
    text = (
        "# Flags\n\nEach row of a catalogue, shard and prediction table has an int32 `flags`, the "
        "sum of these bits. `astrocnn.Flag` names them in Python.\n\n"
    )
    return text + _table(("bit", "name", "meaning"), rows) + "\n"


def costs() -> str:
    """The page of what predictions for a survey cost, from the measured CPU times."""
    first, *lines = COSTS.read_text(encoding="utf-8").splitlines()
    rows = [row for row in csv.DictReader(lines) if row["precision"] == "float32"]
    short = {
        row["architecture"]: row for row in csv.DictReader(lines) if row["precision"] == "bfloat16"
    }
    measured, total = [], []
    for row in rows:
        name = f"`{row['architecture']}`"
        other = short[row["architecture"]]
        side, channels = row["size"], row["channels"]
        shape = f"{side} x {side} x {channels}" if channels != "0" else "scalars"
        measured.append(
            (name, shape, *(r[k] or "-" for k in ("pass_ms", "draws_ms") for r in (row, other)))
        )
        best = [
            min((float(r[k]) for r in (row, other) if r[k]), default=None)
            for k in ("pass_ms", "draws_ms")
        ]
        hours = [None if b is None else b * 1e-3 * GALAXIES / 3600 for b in best]
        moved = 4 * int(side) ** 2 * int(channels) * GALAXIES / 1e12
        total.append(
            (
                name,
                *map(_round, hours),
                _round(max(h for h in hours if h) / 1000),
                _round(moved or None),
            )
        )
    head = ("architecture", "image", "pass", "pass, bfloat16", "50 draws", "50 draws, bfloat16")
    return (
        (Path(__file__).parent / "_templates" / "costs.md")
        .read_text(encoding="utf-8")
        .replace("{machine}", first.strip("# "))
        .replace("{measured}", _table(head, measured))
        .replace(
            "{total}",
            _table(
                (
                    "architecture",
                    "CPU hours, pass",
                    "CPU hours, 50 draws",
                    "hours on 1000 cores",
                    "windows [TB]",
                ),
                total,
            ),
        )
    )


def _round(value: float | None) -> str:
    """Two significant digits."""
    if value is None:
        return "-"
    return f"{float(f'{value:.2g}'):,.10g}"


def _tasks() -> list[str]:
    parts = ["Further keys are those of the task:"]
    for name in module_names("astrocnn.targets.tasks"):
        module = __import__(f"astrocnn.targets.tasks.{name}", fromlist=["task"])
        parts += [f'### `name = "{name}"`', _paragraph(module.task.__doc__.split("\n\n")[0])]
        parts.append(_doc_table(module.task))
        example = inspect.cleandoc(module.__doc__).partition("::\n\n")[2]
        block = re.match(r"(?:    .*\n|\n)+", example + "\n")
        if block:
            parts.append(f"```toml\n{inspect.cleandoc(block[0])}\n```")
    return parts


def _field_table(model: type[BaseModel], skip: Any = ()) -> str:
    rows = [
        (
            f"`{name}`",
            _cell(field.description or ""),
            _type(field.annotation, field.metadata),
            _default(field.default),
        )
        for name, field in model.model_fields.items()
        if name not in skip
    ]
    missing = [row[0] for row in rows if not row[1]]
    if missing:
        raise ValueError(f"{model.__name__} has keys without a description: {', '.join(missing)}")
    return _table(("key", "meaning", "type", "default"), rows)


def _doc_table(documented: Any, skip: tuple[str, ...] = ()) -> str:
    """The parameters of a numpydoc docstring as a table; defaults from the signature."""
    text = inspect.cleandoc(documented.__doc__)
    section = re.split(r"\n(?:Parameters|Attributes)\n-+\n", text)[1]
    section = re.split(r"\n\w[\w ]*\n-{3,}\n", section)[0]
    signature = inspect.signature(documented).parameters
    rows = []
    for names, kind, body in re.findall(
        r"^([*\w, ]+)(?: : (.*))?\n((?:(?:    .*)?\n?)+)", section, re.M
    ):
        given = [name.strip() for name in names.split(",")]
        if not set(given) & set(skip):
            shown = ", ".join(f"`{name}`" for name in given)
            parameter = signature.get(given[0].lstrip("*"))
            default = parameter.default if parameter else inspect.Parameter.empty
            rows.append((shown, _cell(body), _cell(_plain_type(kind)), _default(default)))
    return _table(("key", "meaning", "type", "default"), rows)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(text: str) -> str:
    """One line of Markdown from the text of a docstring."""
    text = " ".join(text.split()).replace("``", "`").replace("|", "\\|")
    text = re.sub(r" ?\[(\d)\]_", "", text)
    # Asterisks and angle brackets outside of code would be markup.
    parts = text.split("`")
    plain = (p.replace("*", "\\*").replace("<", "&lt;") for p in parts)
    return "`".join(p if i % 2 else q for i, (p, q) in enumerate(zip(parts, plain, strict=True)))


def _paragraph(text: str | None) -> str:
    return "\n\n".join(_cell(part) for part in inspect.cleandoc(text or "").split("\n\n"))


def _model_of(annotation: Any) -> Any:
    options = [a for a in typing.get_args(annotation) or (annotation,) if a is not type(None)]
    return options[0]


def _default(value: Any) -> str:
    if value is PydanticUndefined or value is inspect.Parameter.empty or value is ...:
        return "required"
    if value is None or value == [] or value == {} or str(value) == "<factory>":
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def _type(annotation: Any, metadata: Any = ()) -> str:
    """A type as a reader of TOML thinks of it."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    bounds = [
        f"{sign} {getattr(m, name)}"
        for m in metadata
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
        if getattr(m, name, None) is not None
    ]
    if origin is Annotated:
        text = _type(arguments[0], arguments[1:])
    elif origin is Literal:
        text = " or ".join(f'`"{value}"`' for value in arguments)
    elif origin in (typing.Union, types.UnionType):
        texts = [_type(a) for a in arguments if a is not type(None)]
        text = " or ".join(dict.fromkeys(texts))
    elif origin in (tuple, list):
        length = "" if ... in arguments else f"{len(arguments)} "
        text = f"list of {length}{_type(arguments[0])}"
    elif origin is dict:
        text = "table"
    else:
        names = {int: "integer", float: "number", str: "text", bool: "true or false", Path: "path"}
        text = names.get(annotation, "table" if inspect.isclass(annotation) else "any value")
    return f"{text}, {', '.join(bounds)}" if bounds else text


def _plain_type(text: str) -> str:
    """The type line of a docstring in the words of TOML."""
    words = {"str": "text", "int": "integer", "float": "number", "bool": "true or false"}
    words |= {"mapping": "table", "sequence": "list", "tuple": "list"}
    text = text.replace(", optional", "")
    return re.sub(r"\b(" + "|".join(words) + r")\b", lambda m: words[m[1]], text)


def _metavar(parameter: Any) -> str:
    return parameter.metavar or parameter.name.upper()
