"""The command line: parsing and printing only.

Each command imports its verb when it is called, so that ``astrocnn --help`` costs no more than the
parser.
"""

from __future__ import annotations

import errno
import os
import shlex
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import rich_utils
from typer.core import TyperGroup

from astrocnn import plugins
from astrocnn.errors import AstrocnnError

__all__ = ["app", "main"]

_INTERRUPTED = "Interrupted. Run the same command again to continue."
_REMEDIES = {
    errno.ENOSPC: "free some space and run the same command again: finished work is kept",
    errno.EDQUOT: "free some space and run the same command again: finished work is kept",
    errno.EACCES: "write to another folder, or change the permissions",
    errno.EPERM: "write to another folder, or change the permissions",
    errno.EROFS: "write to another folder",
    errno.ENOTDIR: "a part of this path is a file: use another path",
    errno.EMFILE: "raise the limit of open files: ulimit -n",
}


def _hide_types_of_flags(options: list[Any]) -> list[Any]:
    """Hide the type of flags in the help: '--help <bool>' looks as if it took a value."""
    for option in options:
        if getattr(option, "is_flag", False):
            option.metavar = ""
    return options


class _Verbs(TyperGroup):
    """Command group that prints errors as messages, not as tracebacks."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _hide_types_of_flags(super().get_params(ctx))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            _hide_types_of_flags(command.get_params(ctx))
        return command

    def invoke(self, ctx: Any) -> Any:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            try:
                return super().invoke(ctx)
            except AstrocnnError as error:
                code = _fail(error)
            # typer itself would exit here without a message.
            except KeyboardInterrupt:
                print(f"\n{_INTERRUPTED}", file=sys.stderr)
                code = 130
            except BrokenPipeError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                code = 141
            except OSError as error:
                code = _fail(_explain_os_error(error))
            except Exception as error:
                # TensorFlow's error class is matched by name, because it is not imported here.
                if type(error).__name__ not in ("MemoryError", "ResourceExhaustedError"):
                    raise
                code = _fail(
                    AstrocnnError(
                        "Out of memory.",
                        received=(str(error).splitlines() or [""])[0] or None,
                        hint="use smaller stamps (inputs.size) or batches (training.batch_size), "
                        "fewer draws (prediction.draws)",
                    )
                )
        raise SystemExit(code)


app = typer.Typer(
    name="astrocnn",
    cls=_Verbs,
    help="Convolutional networks for survey astronomy: cutouts in, calibrated predictions out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

# Headings of the list of commands.
_START, _DATA = "Start here", "Images and catalogues"
_TRAIN, _SCORE, _USE = "Training", "Scores and explanation", "Predictions and their use"

RunFile = Annotated[Path, typer.Argument(metavar="RUN.toml", help="The run file.")]
RunFolder = Annotated[Path, typer.Argument(metavar="DIR", help="The run directory.")]
Overrides = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a value of the run file, e.g. training.epochs=3.",
    ),
]
Plugin = Annotated[
    list[str],
    typer.Option(
        metavar="FILE.py:NAME",
        help="Trust Python code that a run directory names.",
        callback=lambda values: _trust(values),
    ),
]
Identifier = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Column of the identifiers, where it cannot be guessed."),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS|local:N|FILE.toml",
        help="Dask cluster that computes: a scheduler, N local workers, or a table \\[cluster].",
    ),
]
Workers = Annotated[int, typer.Option(min=1, help="Number of local processes that compute.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help="Run directory; default: runs/<name of the run file>."
    ),
]
CatalogOfRun = Annotated[Path | None, typer.Option(help="Catalogue; default: that of the run.")]
SurveyOfRun = Annotated[Path | None, typer.Option(help="Survey file; default: that of the run.")]


def main() -> None:
    """Run the command line."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Dim blue cannot be read on a dark background.
    rich_utils.STYLE_ERRORS_SUGGESTION = "none"
    app()


def _explain_os_error(error: OSError) -> AstrocnnError:
    """Format an operating-system error, with a remedy."""
    reason = error.strerror or str(error) or type(error).__name__
    files = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return AstrocnnError(
        f"Operating system error: {reason}.",
        received=" -> ".join(files) or None,
        hint=_REMEDIES.get(error.errno or 0),
    )


def _trust(leaves: list[str]) -> list[str]:
    for leaf in leaves or ():
        if not plugins.is_outside(leaf):
            raise typer.BadParameter("Expected path/to/file.py:NAME or module:NAME.")
        plugins.trust(leaf)
    return leaves


def _load(run: Path, overrides: list[str]) -> Any:
    from astrocnn.runs.config import load_run

    return load_run(run, overrides)


def _check_folder(folder: Path) -> None:
    """Raise for a folder that is no run directory before a module is imported that loads Keras."""
    from astrocnn.runs.directory import RunDirectory

    RunDirectory.open(folder)


def _fail(error: AstrocnnError) -> int:
    _print_message("bold red", f"astrocnn: {error}")
    return 2


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    # The usual yellow cannot be read on a light background.
    _print_message("bold color(166)", f"warning: {message}")


def _print_message(style: str, text: str) -> None:
    """Print a text whose first word has a style."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    mark, _, rest = _wrap(text, console).partition(" ")
    console.print(f"[{style}]{mark}[/] {escape(rest)}")


def _wrap(text: str, console: Any) -> str:
    from astrocnn.terminal import wrap_lines

    return wrap_lines(text, console.width) if console.is_terminal else text


def _folder(run: Path, out: Path | None) -> Path:
    return out or Path("runs") / run.stem


def _names(text: str | None) -> list[str]:
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    if text is not None and not names:
        raise typer.BadParameter(
            "Expected names separated by commas; leave the option out for the default."
        )
    return names


def _show(part: Any) -> None:
    from rich.console import Console

    # Text comes from files and users: brackets in it are not markup.
    console = Console(highlight=False, markup=False)
    if isinstance(part, str):
        console.print(_wrap(part, console), soft_wrap=True)
        return
    console.print(part)
    if getattr(part, "show_header", False):
        console.print()


def _print_all(parts: Iterable[Any]) -> Any:
    """Print what a verb yields; return what it returns."""
    iterator = iter(parts)
    while True:
        try:
            part = next(iterator)
        except StopIteration as end:
            return end.value
        _show(part)


def _show_next(*words: str | Path) -> None:
    """Print what is done next, as the last line of a command."""
    # Not wrapped, so that it can be copied.
    print(f"next: astrocnn {shlex.join(map(str, words))}")


def _show_next_of_run(folder: Path, otherwise: str) -> None:
    """Name 'explain' where there is a network that has not been explained, or another command."""
    from astrocnn.runs.directory import RunDirectory

    home = RunDirectory.open(folder)
    explained = home.explanations.is_dir() or home.config().model.method is not None
    _show_next(otherwise if explained else "explain", folder)


def _show_next_of_labels(table: str | Path, folder: Path | None, catalog: Path | None) -> None:
    """Name the command that labels the objects of a table, with the catalogue of their images."""
    if folder is not None and catalog is None:
        from astrocnn.imaging.files import expand_path
        from astrocnn.runs.directory import RunDirectory

        config = RunDirectory.open(folder).config()
        if len(config.catalog.files) == 1:
            catalog = Path(expand_path(config.catalog.files[0], config.root))
    _show_next("label", table, "--run", folder or "DIR", "--catalog", catalog or "CATALOG")


def _show_next_of_ranking(
    verb: str, words: tuple[str | Path, ...], out: Path, images: Path | None, catalog: Path | None
) -> None:
    """Name the command that shows the images of a ranking, or, with images, the one to label it."""
    if images is None:
        _show_next(verb, *words, "--images", "DIR")
    else:
        _show_next_of_labels(out, images, catalog)


@app.command(rich_help_panel=_START)
def demo(
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; default: runs/demo_<task>.")
    ] = None,
    task: Annotated[str, typer.Option(help="morphology, photoz or quality.")] = "morphology",
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    objects: Annotated[int, typer.Option(min=200, help="Number of simulated objects.")] = 2500,
) -> None:
    """Run the whole pipeline on a simulated survey, up to the report."""
    from astrocnn.runs.verbs import demo as verb

    folder = out or Path("runs") / f"demo_{task}"
    _print_all(verb.run(folder, task=task, seed=seed, objects=objects, say=_show))


@app.command(rich_help_panel=_START)
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write.")],
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGES", help="Image files, or folders that hold them."),
    ] = [],  # noqa: B006
    survey: Annotated[
        str | None,
        typer.Option(
            help="A template, 'tiles' or 'stamps', or a survey that is included; default: drafted "
            "from the images."
        ),
    ] = None,
    catalog: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="Catalogue: its columns of positions, labels and file names are used. Given again "
            "for a training and a test file, say.",
        ),
    ] = [],  # noqa: B006
    id: Identifier = None,
) -> None:
    """Write a survey file and a run file from images and a catalogue."""
    from astrocnn.runs.verbs import init as verb

    first, more = (catalog[0], catalog[1:]) if catalog else (None, [])
    _print_all(verb.run(folder, images, survey=survey, catalog=first, id=id, more=more))


@app.command(rich_help_panel=_START)
def check(run: RunFile, overrides: Overrides = []) -> None:  # noqa: B006
    """Check a run before training: files, coverage, labels and cost."""
    from astrocnn.runs.verbs import check as verb

    findings, good = verb.run(_load(run, overrides))
    _show(findings)
    if not good:
        print(f"next: correct {run}, or the file that a message names, and check again")
        raise typer.Exit(1)
    _show_next("train", run)


@app.command(rich_help_panel=_DATA)
def cutouts(
    run: RunFile,
    out: Out = None,
    workers: Workers = 1,
    cluster: Cluster = None,
    overrides: Overrides = [],  # noqa: B006
) -> None:
    """Cut the images of a catalogue into shards of band stacks."""
    from astrocnn.runs.verbs import cutouts as verb

    config = _load(run, overrides)
    _print_all(verb.run(config, _folder(run, out), workers=workers, cluster=cluster))
    _show_next("train", run, *(("--out", out) if out else ()))


@app.command(rich_help_panel=_TRAIN)
def summary(run: RunFile, overrides: Overrides = []) -> None:  # noqa: B006
    """Print the network by layer: shapes, cost, receptive fields."""
    from astrocnn.runs.verbs import summary as verb

    _print_all(verb.run(_load(run, overrides)))
    _show_next("check", run)


@app.command(rich_help_panel=_TRAIN)
def diagnose(run: RunFile, out: Out = None, overrides: Overrides = []) -> None:  # noqa: B006
    """Test labels, inputs and gradients before training.

    Also the initial loss, the activations, and the symmetry of the classes under augmentation.
    """
    from astrocnn.runs.verbs import diagnose as verb

    findings, good, figure = verb.run(_load(run, overrides), _folder(run, out))
    _show(findings)
    if figure is not None:
        _show(f"figure: {figure}")
    if not good:
        raise typer.Exit(1)
    _show_next("train", run, *(("--out", out) if out else ()))


@app.command("find-lr", rich_help_panel=_TRAIN)
def find_lr(run: RunFile, out: Out = None, overrides: Overrides = []) -> None:  # noqa: B006
    """Suggest a learning rate from a sweep over the training split.

    No weights are kept.
    """
    from astrocnn.runs.verbs import find_lr as verb

    rate = _print_all(verb.run(_load(run, overrides), _folder(run, out)))
    if rate is None:
        _show_next("diagnose", run)
        return
    changes = [*overrides, f"training.learning_rate={rate:.1e}"]
    options = [word for change in changes for word in ("--set", change)]
    _show_next("train", run, *(("--out", out) if out else ()), *options)


@app.command(rich_help_panel=_TRAIN)
def search(
    run: RunFile,
    out: Out = None,
    overrides: Overrides = [],  # noqa: B006
    workers: Workers = 1,
    cluster: Cluster = None,
) -> None:
    """Search hyper-parameters; rank trials by the validation loss.

    The run file lists what to vary under \\[search.space].  Run again, the search continues.
    """
    from astrocnn.runs.verbs import search as verb

    config = _load(run, overrides)
    best = _print_all(verb.run(config, _folder(run, out), workers=workers, cluster=cluster))
    if best is not None:
        _show_next("train", best)


@app.command(rich_help_panel=_TRAIN)
def pretrain(
    run: RunFile,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Run directory; default: runs/<name of the run file>_pretrained."
        ),
    ] = None,
    overrides: Overrides = [],  # noqa: B006
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Learn features from images of the training split, without labels.

    \\[pretraining] of the run file chooses method and augmentation.  'train --from' starts from the
    result.  Run again after an interruption, it continues.
    """
    from astrocnn.runs.verbs import pretrain as verb

    folder = out or Path("runs") / f"{run.stem}_pretrained"
    _print_all(verb.run(_load(run, overrides), folder))
    _show_next("train", run, "--from", folder)


@app.command(rich_help_panel=_TRAIN)
def train(
    run: RunFile,
    out: Out = None,
    start: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="Start from the weights of a trained run."),
    ] = None,
    overrides: Overrides = [],  # noqa: B006
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Train a run; run again after an interruption, it continues."""
    from astrocnn.runs.verbs import train as verb

    if start is not None:
        overrides = [*overrides, f"model.weights={start.resolve()}"]
    _print_all(verb.run(_load(run, overrides), _folder(run, out)))
    _show_next("calibrate", _folder(run, out))


@app.command(rich_help_panel=_TRAIN)
def calibrate(folder: RunFolder, plugin: Plugin = []) -> None:  # noqa: B006
    """Calibrate on the validation split: temperature, conformal sets."""
    from astrocnn.runs.verbs import calibrate as verb

    _print_all(verb.run(folder))
    _show_next("evaluate", folder)


@app.command(rich_help_panel=_USE)
def predict(
    folder: RunFolder,
    catalog: CatalogOfRun = None,
    survey: SurveyOfRun = None,
    id: Identifier = None,
    out: Annotated[Path, typer.Option(help="Table to write.")] = Path("predictions.fits"),
    draws: Annotated[
        int | None,
        typer.Option(min=0, help="Number of Monte-Carlo dropout draws; 0: one deterministic pass."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the draws.")] = 0,
    views: Annotated[
        str | None, typer.Option(help="'one', or 'd4' to average over orientations.")
    ] = None,
    pdf: Annotated[
        str | None, typer.Option(help="Format of p(z): 'none', 'float32', 'int16' or 'quantiles'.")
    ] = None,
    worker: Annotated[
        str, typer.Option(metavar="I/N", help="Compute the chunks of worker I.")
    ] = "1/1",
    workers: Workers = 1,
    cluster: Cluster = None,
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Predict every row of a catalogue, with uncertainty.

    The result is a FITS table with a row for each row of the catalogue.

    With --out ending in .csv, .parquet or .hdf5 (qp), that file is written beside it.
    """
    from astrocnn.runs.verbs import predict as verb

    _print_all(
        verb.run(
            folder,
            catalog=catalog,
            survey=survey,
            id=id,
            out=out,
            draws=draws,
            seed=seed,
            views=views,
            pdf=pdf,
            worker=worker,
            workers=workers,
            cluster=cluster,
        )
    )
    _show_next_of_run(folder, "embed")


@app.command(rich_help_panel=_USE)
def embed(
    folder: RunFolder,
    catalog: CatalogOfRun = None,
    survey: SurveyOfRun = None,
    id: Identifier = None,
    out: Annotated[Path, typer.Option(help="Table to write.")] = Path("embeddings.fits"),
    layer: Annotated[
        str | None, typer.Option(help="Layer of the features; default: the input of the heads.")
    ] = None,
    views: Annotated[
        str | None, typer.Option(help="'one', or 'd4' to average over orientations.")
    ] = None,
    worker: Annotated[
        str, typer.Option(metavar="I/N", help="Compute the chunks of worker I.")
    ] = "1/1",
    workers: Workers = 1,
    cluster: Cluster = None,
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Write the feature vector of every row of a catalogue.

    It is what 'similar' and 'outliers' compare.

    With --out ending in .parquet, that file is written beside the FITS table.
    """
    from astrocnn.runs.verbs import embed as verb

    _print_all(
        verb.run(
            folder,
            catalog=catalog,
            survey=survey,
            id=id,
            out=out,
            layer=layer,
            views=views,
            worker=worker,
            workers=workers,
            cluster=cluster,
        )
    )
    _show_next("similar", out, "--to", "ID", "--images", folder)


Embeddings = Annotated[
    Path, typer.Argument(metavar="EMBEDDINGS", help="Table written by 'embed' (FITS or Parquet).")
]
ImagesOf = Annotated[
    Path | None,
    typer.Option("--images", metavar="DIR", help="Run directory: show its images on a page."),
]
CatalogOfImages = Annotated[
    Path | None, typer.Option(help="Catalogue of the images; default: that of the run.")
]
SurveyOfImages = Annotated[
    Path | None, typer.Option(help="Survey file of the images; default: that of the run.")
]


@app.command(rich_help_panel=_USE)
def similar(
    embeddings: Embeddings,
    to: Annotated[str, typer.Option(metavar="ID,...", help="Objects to find similar ones to.")],
    n: Annotated[int, typer.Option("-n", min=1, help="Number of objects to find.")] = 50,
    out: Annotated[Path, typer.Option(help="Table to write, .csv or .fits.")] = Path("similar.csv"),
    id: Identifier = None,
    images: ImagesOf = None,
    catalog: CatalogOfImages = None,
    survey: SurveyOfImages = None,
    index: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Search approximately by an index, which is built there first (extra similar).",
        ),
    ] = None,
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Find the objects that look most similar to given ones.

    With --images, a page with their images is written beside the table.
    """
    from astrocnn.runs.verbs import similar as verb

    _print_all(
        verb.run(
            embeddings,
            to=_names(to),
            n=n,
            out=out,
            id=id,
            images=images,
            catalog=catalog,
            survey=survey,
            index=index,
        )
    )
    _show_next_of_ranking("similar", (embeddings, "--to", to), out, images, catalog)


@app.command(rich_help_panel=_USE)
def outliers(
    embeddings: Embeddings,
    n: Annotated[int, typer.Option("-n", min=1, help="Number of objects to find.")] = 100,
    method: Annotated[
        str, typer.Option(help="'local_outlier_factor' or 'isolation_forest'.")
    ] = "local_outlier_factor",
    scores: Annotated[
        Path | None,
        typer.Option(help="Table with a column 'score': your interest in some objects, 0 to 5."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Table to write, .csv or .fits.")] = Path(
        "outliers.csv"
    ),
    id: Identifier = None,
    images: ImagesOf = None,
    catalog: CatalogOfImages = None,
    survey: SurveyOfImages = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Find the most unusual objects, interesting ones first.

    What is interesting is learned from --scores, your scores of some objects.
    """
    from astrocnn.runs.verbs import outliers as verb

    _print_all(
        verb.run(
            embeddings,
            n=n,
            method=method,
            scores=scores,
            out=out,
            id=id,
            images=images,
            catalog=catalog,
            survey=survey,
            seed=seed,
        )
    )
    _show_next_of_ranking("outliers", (embeddings,), out, images, catalog)


@app.command("map", rich_help_panel=_USE)
def map_(
    embeddings: Embeddings,
    out: Annotated[Path, typer.Option(help="Page to write.")] = Path("map.html"),
    method: Annotated[str, typer.Option(help="'pca', 'tsne', or 'umap' (extra umap).")] = "pca",
    colors: Annotated[
        Path | None,
        typer.Option(help="Table to color by: labels, scores or predictions, by identifier."),
    ] = None,
    columns: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Its columns; default: all that suit.")
    ] = None,
    id: Identifier = None,
    images: ImagesOf = None,
    catalog: CatalogOfImages = None,
    survey: SurveyOfImages = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Write an interactive map of the objects: zoom, thumbnails, colors, and a lasso to a CSV.

    It is one HTML file that works offline.
    """
    from astrocnn.runs.verbs import map as verb

    _print_all(
        verb.run(
            embeddings,
            out=out,
            method=method,
            colors=colors,
            columns=_names(columns),
            id=id,
            images=images,
            catalog=catalog,
            survey=survey,
            seed=seed,
        )
    )
    _show_next_of_labels("selected.csv", images, catalog)


@app.command(rich_help_panel=_USE)
def acquire(
    folder: RunFolder,
    n: Annotated[int, typer.Option("-n", min=1, help="Number of objects to choose.")] = 200,
    catalog: CatalogOfRun = None,
    survey: SurveyOfRun = None,
    id: Identifier = None,
    method: Annotated[
        str, typer.Option(help="batchbald, kmeans, bald, entropy, margin or random.")
    ] = "batchbald",
    random: Annotated[
        float,
        typer.Option(min=0, max=1, help="Fraction chosen by chance, for an unbiased test set."),
    ] = 0.2,
    balance: Annotated[
        bool, typer.Option("--balance", help="Choose as many objects of each predicted class.")
    ] = False,
    target: Annotated[
        str | None, typer.Option(help="Target with classes; default: the first.")
    ] = None,
    draws: Annotated[
        int | None, typer.Option(min=0, help="Number of Monte-Carlo dropout draws.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    images: Annotated[
        bool, typer.Option("--images", help="Write a page with their images as well.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Table to write, .csv or .fits.")] = Path("acquire.csv"),
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Choose the objects that are worth labelling next."""
    from astrocnn.runs.verbs import acquire as verb

    _print_all(
        verb.run(
            folder,
            out=out,
            n=n,
            catalog=catalog,
            survey=survey,
            id=id,
            method=method,
            random=random,
            balance=balance,
            target=target,
            draws=draws,
            seed=seed,
            images=images,
        )
    )
    _show_next_of_labels(out, folder, catalog)


@app.command(rich_help_panel=_USE)
def label(
    objects: Annotated[
        Path, typer.Argument(metavar="OBJECTS", help="Table of the objects to label.")
    ],
    of: Annotated[
        Path | None,
        typer.Option(
            "--run", metavar="RUN", help="Run file or directory with the survey and the classes."
        ),
    ] = None,
    survey: SurveyOfRun = None,
    classes: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="Classes to choose from; default: those of the run."),
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=8, help="Side of the stamps (pixel); default: the run's.")
    ] = None,
    catalog: Annotated[
        Path | None,
        typer.Option(help="Catalogue with more columns of the objects, such as file names."),
    ] = None,
    id: Identifier = None,
    out: Annotated[Path, typer.Option(help="Page to write.")] = Path("label.html"),
    serve: Annotated[
        Path | None,
        typer.Option(
            metavar="LABELS.csv",
            help="Serve the page on this machine instead; save after each answer. Also .fits.",
        ),
    ] = None,
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Write a page on which you label objects by eye; it works offline.

    The labels are a table that a run file can name as its catalogue.
    """
    from astrocnn.runs.verbs import label as verb

    _print_all(
        verb.run(
            objects,
            out=out,
            of=of,
            survey=survey,
            classes=_names(classes),
            size=size,
            catalog=catalog,
            id=id,
            serve=serve,
        )
    )
    run_file = of if of is not None and of.is_file() else "RUN.toml"
    if serve is None:
        print(f"open {out} in a browser and save the labels")
    _show_next(
        "train", run_file, "--set", f"catalog.file={serve.resolve() if serve else 'labels.csv'}"
    )


@app.command(rich_help_panel=_USE)
def select(
    predictions: Annotated[
        Path, typer.Argument(metavar="PREDICTIONS.fits", help="Table written by 'predict'.")
    ],
    catalog: Annotated[Path, typer.Option(help="Catalogue to clean.")],
    out: Annotated[Path, typer.Option(help="Cleaned catalogue to write.")] = Path("selected.fits"),
) -> None:
    """Write the selected rows of a catalogue, and the rejected ones.

    Rejected rows have the reason in a column.
    """
    from astrocnn.runs.verbs import select as verb

    _print_all(verb.run(predictions, catalog=catalog, out=out))
    _show_next("show", "SURVEY.toml", "--catalog", out)


@app.command(rich_help_panel=_SCORE)
def evaluate(
    folder: RunFolder,
    catalog: Annotated[
        Path | None,
        typer.Option(help="Score this catalogue with labels in place of the test split."),
    ] = None,
    survey: Annotated[
        Path | None, typer.Option(help="Its survey file; default: that of the run.")
    ] = None,
    id: Identifier = None,
    workers: Workers = 1,
    cluster: Cluster = None,
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Score the test split, or another catalogue, beside baselines.

    Scorings of a split are counted.
    """
    from astrocnn.runs.verbs import evaluate as verb

    made = verb.run(folder, catalog=catalog, survey=survey, id=id, workers=workers, cluster=cluster)
    _print_all(made)
    _show_next("report", folder)


@app.command(rich_help_panel=_SCORE)
def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR", help="Run directories.")],
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Compare runs on the test objects that they share.

    Differences have intervals by paired bootstrap.
    """
    from astrocnn.runs.verbs import compare as verb

    _print_all(verb.run(folders))
    _show_next("predict", "DIR")


@app.command(rich_help_panel=_SCORE)
def explain(
    folder: RunFolder,
    objects: Annotated[
        str | None, typer.Option(metavar="ID,...", help="Objects to explain, by identifier.")
    ] = None,
    most_uncertain: Annotated[
        int | None,
        typer.Option(min=1, help="Explain the N least certain objects of the test split instead."),
    ] = None,
    per_class: Annotated[
        int | None,
        typer.Option(min=1, help="Explain N objects of each predicted class instead (default 2)."),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Methods, such as occlusion or deep_dream; 'astrocnn list explain' lists all.",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="Targets; default: that of the headline score."),
    ] = None,
    of: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="Output to explain instead of the predicted class or the mean: a class, an "
            "interval such as 0.1,0.3, or layer:NAME#CHANNEL.",
        ),
    ] = None,
    square: Annotated[
        int | None, typer.Option(min=1, help="Side of the occluding square (pixel).")
    ] = None,
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Also map the variance between the draws.")
    ] = False,
    checks: Annotated[
        bool, typer.Option("--checks/--no-checks", help="Run sanity checks of the maps.")
    ] = True,
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Explain predictions: attribution maps, checks, filters.

    Earlier explanations of the run are replaced.
    """
    _check_folder(folder)
    from astrocnn.runs.verbs import explain as verb

    _print_all(
        verb.run(
            folder,
            objects=_names(objects),
            most_uncertain=most_uncertain,
            per_class=per_class,
            methods=_names(methods),
            targets=_names(target),
            of=of,
            square=square,
            uncertainty=uncertainty,
            checks=checks,
        )
    )
    from astrocnn.runs.directory import RunDirectory

    _show_next("predict" if RunDirectory(folder).scores.is_file() else "evaluate", folder)


@app.command(rich_help_panel=_USE)
def export(
    folder: RunFolder,
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("exported"),
    format: Annotated[str, typer.Option(help="'onnx', 'saved_model' or 'litert'.")] = "onnx",
    draws: Annotated[
        int, typer.Option(min=0, help="Monte-Carlo dropout draws inside; 0: one pass.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the draws.")] = 0,
    views: Annotated[
        str | None,
        typer.Option(help="'one', or 'd4' to average over orientations; default: as the run."),
    ] = None,
    license: Annotated[
        str, typer.Option(help="License of the weights, for the model card.")
    ] = "unknown",
    catalog: Annotated[
        Path | None, typer.Option(help="Compare with the run on all objects of this catalogue.")
    ] = None,
    survey: SurveyOfRun = None,
    id: Identifier = None,
    plugin: Plugin = [],  # noqa: B006
) -> None:
    """Write the network for other programs, with its normalization inside and a model card.

    The file is run on cutouts of the run; one that predicts something else is refused.
    With --catalog the largest difference in each column of the predictions is shown.
    """
    _check_folder(folder)
    from astrocnn.runs.verbs import export as verb

    _print_all(
        verb.run(
            folder,
            out=out,
            format=format,
            draws=draws,
            seed=seed,
            views=views,
            license=license,
            catalog=catalog,
            survey=survey,
            id=id,
        )
    )
    _show_next("predict", folder)


@app.command(rich_help_panel=_SCORE)
def report(folder: RunFolder, plugin: Plugin = []) -> None:  # noqa: B006
    """Write report.html from the results in the run directory.

    Nothing is scored again.
    """
    _check_folder(folder)
    from astrocnn.runs.verbs import report as verb

    _print_all(verb.run(folder))
    _show_next_of_run(folder, "predict")


@app.command(rich_help_panel=_DATA)
def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write.")],
    objects: Annotated[int, typer.Option(min=1, help="Number of objects.")] = 2500,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    preset: Annotated[str, typer.Option(help="'ground', 'euclid', 'redshift' or 'quality'.")] = (
        "ground"
    ),
) -> None:
    """Simulate a survey with known truth: tiles and catalogue."""
    from astrocnn.runs.verbs import simulate as verb

    images = _print_all(verb.run(out, objects=objects, seed=seed, preset=preset))
    _show_next("init", "FOLDER", images, "--catalog", out / "catalog.fits")


@app.command(rich_help_panel=_DATA)
def detect(
    survey: Annotated[Path, typer.Argument(metavar="SURVEY.toml", help="The survey file.")],
    out: Annotated[Path, typer.Option(help="Catalogue to write.")] = Path("catalog.fits"),
    band: Annotated[
        str | None, typer.Option(help="Band to detect in; default: the reference band.")
    ] = None,
    threshold: Annotated[
        float, typer.Option(help="Detection threshold above the background (sigma).")
    ] = 3.0,
    min_pixels: Annotated[
        int, typer.Option(min=1, help="Smallest number of connected pixels.")
    ] = 5,
) -> None:
    """Detect sources on a survey's tiles to make a catalogue."""
    from astrocnn.runs.verbs import detect as verb

    _print_all(verb.run(survey, out=out, band=band, threshold=threshold, min_pixels=min_pixels))
    _show_next("show", survey, "--catalog", out)


@app.command(rich_help_panel=_DATA)
def show(
    survey: Annotated[Path, typer.Argument(metavar="SURVEY.toml", help="The survey file.")],
    catalog: Annotated[Path, typer.Option(help="Catalogue.")],
    id: Identifier = None,
    out: Annotated[Path, typer.Option(help="Image file to write.")] = Path("stacks.png"),
    size: Annotated[int, typer.Option(min=4, help="Side of the stamps (pixel).")] = 64,
    objects: Annotated[int, typer.Option(min=1, max=100, help="Number of objects.")] = 8,
) -> None:
    """Plot the band stacks of some objects as the network sees them."""
    from astrocnn.runs.verbs import show as verb

    _print_all(verb.run(survey, catalog=catalog, id=id, out=out, size=size, objects=objects))
    _show_next("check", "RUN.toml")


@app.command("list", rich_help_panel=_START)
def list_(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help="tasks, architectures, options, optimizers ..."),
    ] = None,
) -> None:
    """List the names allowed in a run file; with a kind, describe them."""
    from astrocnn.runs.verbs import list as verb

    _print_all(verb.run(kind))
    _show_next(*(("list", "architectures") if kind is None else ("check", "RUN.toml")))


@app.command(rich_help_panel=_START)
def doctor() -> None:
    """Report versions, devices and optional packages."""
    from astrocnn.runs.verbs import doctor as verb

    _print_all(verb.run())
    _show_next("demo")


def _version(value: bool) -> None:
    if value:
        from astrocnn import __version__

        print(f"astrocnn {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass
