"""The command line: parsing and printing only.

Each command imports its verb when it is called, so that ``astrocnn --help`` costs no more than the
parser.
"""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from astrocnn.errors import AstrocnnError

__all__ = ["app", "main"]

_INTERRUPTED = "Interrupted. Give the same command again to continue."
_REMEDIES = {
    errno.ENOSPC: "free some space and give the same command again: what is finished is kept",
    errno.EDQUOT: "free some space and give the same command again: what is finished is kept",
    errno.EACCES: "choose another place to write, or change the permissions",
    errno.EPERM: "choose another place to write, or change the permissions",
    errno.EROFS: "choose another place to write",
    errno.ENOTDIR: "a part of this path is a file: choose another",
    errno.EMFILE: "raise the number of open files: ulimit -n",
}


class _Verbs(TyperGroup):
    """The commands; what goes wrong in one becomes a sentence, not a traceback."""

    def invoke(self, ctx: Any) -> Any:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            try:
                return super().invoke(ctx)
            except AstrocnnError as error:
                code = _fail(error)
            # typer itself would end here without a word.
            except KeyboardInterrupt:
                print(f"\n{_INTERRUPTED}", file=sys.stderr)
                code = 130
            except BrokenPipeError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                code = 141
            except OSError as error:
                code = _fail(_refused(error))
            except Exception as error:
                # TensorFlow's own class is known by its name, for it is not imported here.
                if type(error).__name__ not in ("MemoryError", "ResourceExhaustedError"):
                    raise
                code = _fail(
                    AstrocnnError(
                        "There is not enough memory.",
                        received=(str(error).splitlines() or [""])[0] or None,
                        hint="smaller stamps (inputs.size) or batches (training.batch_size), "
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

RunFile = Annotated[Path, typer.Argument(metavar="RUN.toml", help="The run file.")]
RunFolder = Annotated[Path, typer.Argument(metavar="DIR", help="The run directory.")]
Overrides = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Override, e.g. training.epochs=3.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Run directory (runs/<file name>)."),
]


def main() -> None:
    """Run the command line."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    app()


def _refused(error: OSError) -> AstrocnnError:
    """What the operating system refused, and what to do about it."""
    reason = error.strerror or str(error) or type(error).__name__
    files = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return AstrocnnError(
        f"The system refused to go on: {reason}.",
        received=" -> ".join(files) or None,
        hint=_REMEDIES.get(error.errno or 0),
    )


def _fail(error: AstrocnnError) -> int:
    _complain("[bold red]astrocnn:[/]", str(error))
    return 2


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    _complain("[yellow]warning:[/]", str(message))


def _complain(mark: str, text: str) -> None:
    from rich.console import Console
    from rich.markup import escape

    Console(stderr=True, highlight=False, soft_wrap=True).print(f"{mark} {escape(text)}")


def _folder(run: Path, out: Path | None) -> Path:
    return out or Path("runs") / run.stem


def _names(text: str | None) -> list[str]:
    found = [name.strip() for name in (text or "").split(",") if name.strip()]
    if text is not None and not found:
        raise typer.BadParameter("There is no name in it; leave the option out for the usual ones.")
    return found


def _show(part: Any) -> None:
    from rich.console import Console

    # Texts come from files and users: brackets in them are brackets.
    Console(highlight=False, markup=False).print(part)


def _tell(parts: Iterable[Any]) -> None:
    for part in parts:
        _show(part)


@app.command()
def demo(
    out: Annotated[Path | None, typer.Option(help="Folder to write (runs/demo_<task>).")] = None,
    task: Annotated[str, typer.Option(help="morphology, photoz or quality.")] = "morphology",
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    objects: Annotated[int, typer.Option(min=200, help="Number of simulated objects.")] = 2500,
) -> None:
    """Simulate a survey, cut, train, predict, score and report."""
    from astrocnn.runs.verbs import demo as verb

    folder = out or Path("runs") / f"demo_{task}"
    _tell(verb.run(folder, task=task, seed=seed, objects=objects, say=_show))


@app.command()
def check(run: RunFile, overrides: Overrides = []) -> None:  # noqa: B006
    """Dry run: files, coverage, labels, shapes, memory and time."""
    from astrocnn.runs.config import load_run
    from astrocnn.runs.verbs import check as verb

    findings, good = verb.run(load_run(run, overrides))
    _show(findings)
    if not good:
        raise typer.Exit(1)


@app.command()
def summary(run: RunFile, overrides: Overrides = []) -> None:  # noqa: B006
    """The network of a run, layer by layer: shapes, parameters, cost, receptive fields."""
    from astrocnn.runs.config import load_run
    from astrocnn.runs.verbs import summary as verb

    _tell(verb.run(load_run(run, overrides)))


@app.command()
def cutouts(run: RunFile, out: Out = None, overrides: Overrides = []) -> None:  # noqa: B006
    """Cut and stack the images of a catalogue into shards."""
    from astrocnn.runs.config import load_run
    from astrocnn.runs.verbs import cutouts as verb

    _tell(verb.run(load_run(run, overrides), _folder(run, out)))


@app.command()
def diagnose(run: RunFile, out: Out = None, overrides: Overrides = []) -> None:  # noqa: B006
    """Is it wired right? Labels, inputs, initial loss, activations, gradients, symmetry."""
    from astrocnn.runs.config import load_run
    from astrocnn.runs.verbs import diagnose as verb

    findings, good, figure = verb.run(load_run(run, overrides), _folder(run, out))
    _show(findings)
    if figure is not None:
        _show(f"figure: {figure}")
    if not good:
        raise typer.Exit(1)


@app.command("find-lr")
def find_lr(run: RunFile, out: Out = None, overrides: Overrides = []) -> None:  # noqa: B006
    """Try learning rates from too low to too high, and suggest one; nothing is trained."""
    from astrocnn.runs.config import load_run
    from astrocnn.runs.verbs import find_lr as verb

    _tell(verb.run(load_run(run, overrides), _folder(run, out)))


@app.command()
def search(
    run: RunFile,
    out: Out = None,
    overrides: Overrides = [],  # noqa: B006
    workers: Annotated[int, typer.Option(min=1, help="Processes that train trials.")] = 1,
) -> None:
    """Try many values of a run, and rank them by the validation loss; it continues like train.

    What to vary stands in the run file, under \\[search.space].
    """
    from astrocnn.runs.config import load_run
    from astrocnn.runs.verbs import search as verb

    _tell(verb.run(load_run(run, overrides), _folder(run, out), workers=workers))


@app.command()
def train(
    run: RunFile,
    out: Out = None,
    start: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="Begin with the weights of a trained run."),
    ] = None,
    overrides: Overrides = [],  # noqa: B006
) -> None:
    """Train a network; given again after an interruption, it continues."""
    from astrocnn.runs.config import load_run
    from astrocnn.runs.verbs import train as verb

    if start is not None:
        overrides = [*overrides, f"transfer.start={start.resolve()}"]
    _tell(verb.run(load_run(run, overrides), _folder(run, out)))


@app.command()
def calibrate(folder: RunFolder) -> None:
    """Fit on the validation split what makes predictions mean what they say."""
    from astrocnn.runs.verbs import calibrate as verb

    _tell(verb.run(folder))


@app.command()
def predict(
    folder: RunFolder,
    catalog: Annotated[Path | None, typer.Option(help="Catalogue (that of the run).")] = None,
    survey: Annotated[Path | None, typer.Option(help="Survey file (that of the run).")] = None,
    out: Annotated[Path, typer.Option(help="Table to write.")] = Path("predictions.fits"),
    draws: Annotated[
        int | None, typer.Option(min=0, help="Stochastic passes; 0 for one deterministic pass.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the draws.")] = 0,
    views: Annotated[
        str | None, typer.Option(help="'one', or 'd4' to average orientations.")
    ] = None,
    pdf: Annotated[
        str | None, typer.Option(help="Densities: 'none', 'float32', 'int16' or 'quantiles'.")
    ] = None,
    worker: Annotated[str, typer.Option(help="Compute only part i of n.")] = "1/1",
) -> None:
    """Predict every row of a catalogue, with uncertainty, into a FITS table.

    The name of --out decides the format: .fits; in addition .csv, .parquet, or .hdf5 (qp).
    """
    from astrocnn.runs.verbs import predict as verb

    _tell(
        verb.run(
            folder,
            catalog=catalog,
            survey=survey,
            out=out,
            draws=draws,
            seed=seed,
            views=views,
            pdf=pdf,
            worker=worker,
        )
    )


@app.command()
def select(
    predictions: Annotated[
        Path, typer.Argument(metavar="PREDICTIONS.fits", help="What 'predict' wrote.")
    ],
    catalog: Annotated[Path, typer.Option(help="Catalogue to clean.")],
    out: Annotated[Path, typer.Option(help="Cleaned catalogue to write.")] = Path("selected.fits"),
) -> None:
    """Keep the selected rows of a catalogue, and tell why each other row was rejected."""
    from astrocnn.runs.verbs import select as verb

    _tell(verb.run(predictions, catalog=catalog, out=out))


@app.command()
def evaluate(folder: RunFolder) -> None:
    """Score the test split beside the baselines; every scoring is counted."""
    from astrocnn.runs.verbs import evaluate as verb

    _tell(verb.run(folder))


@app.command()
def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR", help="Run directories.")],
) -> None:
    """Which run is better, and by how much: paired, on the test objects that all have in common."""
    from astrocnn.runs.verbs import compare as verb

    _tell(verb.run(folders))


@app.command()
def explain(
    folder: RunFolder,
    objects: Annotated[
        str | None, typer.Option(metavar="ID,...", help="Objects to explain, by identifier.")
    ] = None,
    most_uncertain: Annotated[
        int | None, typer.Option(min=1, help="Instead, the least certain of the test split.")
    ] = None,
    per_class: Annotated[
        int | None, typer.Option(min=1, help="Instead, some of each predicted class (2).")
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Methods, such as occlusion or deep_dream (some of each kind); 'astrocnn list "
            "explain' names all.",
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Targets (that of the headline).")
    ] = None,
    of: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="What to explain, in place of the predicted class and the mean: a class, an "
            "interval such as 0.1,0.3, or layer:NAME#CHANNEL.",
        ),
    ] = None,
    square: Annotated[
        int | None, typer.Option(min=1, help="Side of the square of occlusion (pixel).")
    ] = None,
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Also map what the draws disagree about.")
    ] = False,
    checks: Annotated[
        bool, typer.Option("--checks/--no-checks", help="Whether the maps can be believed.")
    ] = True,
) -> None:
    """Look inside: which pixels or inputs decided, can one believe it, what was learned.

    Replaces what was explained before.
    """
    from astrocnn.runs.verbs import explain as verb

    _tell(
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


@app.command()
def report(folder: RunFolder) -> None:
    """Write report.html from what the run directory holds; scores nothing anew."""
    from astrocnn.runs.verbs import report as verb

    _tell(verb.run(folder))


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write.")],
    objects: Annotated[int, typer.Option(min=1, help="Number of objects.")] = 2500,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
    preset: Annotated[str, typer.Option(help="'ground', 'euclid', 'redshift' or 'quality'.")] = (
        "ground"
    ),
) -> None:
    """Simulate a survey with known truth: tiles, catalogue and survey file."""
    from astrocnn.runs.verbs import simulate as verb

    _tell(verb.run(out, objects=objects, seed=seed, preset=preset))


@app.command()
def detect(
    survey: Annotated[Path, typer.Argument(metavar="SURVEY.toml", help="The survey file.")],
    out: Annotated[Path, typer.Option(help="Catalogue to write.")] = Path("catalog.fits"),
    band: Annotated[str | None, typer.Option(help="Band (the reference band).")] = None,
    threshold: Annotated[float, typer.Option(help="Height above the background (sigma).")] = 3.0,
    min_pixels: Annotated[int, typer.Option(min=1, help="Connected pixels at least.")] = 5,
) -> None:
    """Detect sources on a survey's tiles to make a catalogue."""
    from astrocnn.runs.verbs import detect as verb

    _tell(verb.run(survey, out=out, band=band, threshold=threshold, min_pixels=min_pixels))


@app.command()
def show(
    survey: Annotated[Path, typer.Argument(metavar="SURVEY.toml", help="The survey file.")],
    catalog: Annotated[Path, typer.Option(help="Catalogue.")],
    out: Annotated[Path, typer.Option(help="Picture to write.")] = Path("stacks.png"),
    size: Annotated[int, typer.Option(min=4, help="Side of a stamp (pixel).")] = 64,
    objects: Annotated[int, typer.Option(min=1, max=100, help="How many objects.")] = 8,
) -> None:
    """Draw the band stacks of some objects: what a network would see."""
    from astrocnn.runs.verbs import show as verb

    _tell(verb.run(survey, catalog=catalog, out=out, size=size, objects=objects))


@app.command("list")
def list_(
    kind: Annotated[
        str | None, typer.Argument(help="tasks, architectures, options, optimizers ...")
    ] = None,
) -> None:
    """List what can be named in a run file."""
    from astrocnn.runs.verbs import list as verb

    _tell(verb.run(kind))


@app.command()
def doctor() -> None:
    """Say what this machine has: versions, processors, accelerators, optional packages."""
    from astrocnn.runs.verbs import doctor as verb

    _tell(verb.run())


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


if __name__ == "__main__":
    main()
