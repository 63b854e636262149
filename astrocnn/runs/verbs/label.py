"""``astrocnn label``: write, or serve, a page on which objects are labelled by eye."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from astrocnn.catalog import read_catalog
from astrocnn.errors import ConfigError
from astrocnn.labeling import (
    LabelServer,
    build_class_question,
    build_page,
    build_questions,
    write_page,
)
from astrocnn.plugins import nearest_file
from astrocnn.runs.config import load_run
from astrocnn.runs.object_tables import find_objects, read_table, write_objects
from astrocnn.runs.run import Run, load_survey, open_images

__all__ = ["run"]

SIZE = 64


def run(
    objects: Path,
    *,
    out: Path,
    of: Path | None = None,
    survey: Path | None = None,
    classes: Sequence[str] = (),
    size: int | None = None,
    catalog: Path | None = None,
    id: str | None = None,
    serve: Path | None = None,
) -> Iterator[str]:
    """Write the page, or serve it until it is interrupted.

    Raises
    ------
    ConfigError
        If there are no images or no classes, or a table that is read would be replaced.
    PredictionError
        If an object is not in the catalogue, or no object has an image.
    """
    serve, fits = _validate_outputs(out, serve)
    if of is None and (survey is None or not classes):
        raise ConfigError(
            "It is not known which images to show, or what to ask.",
            allowed="a run (--run), or a survey and classes (--survey, --classes)",
        )
    if not objects.is_file():
        hint = nearest_file(objects) or "'astrocnn acquire' writes a table of objects to label"
        raise ConfigError("The table does not exist.", received=str(objects), hint=hint)
    for path in (objects, *([] if catalog is None else [catalog])):
        for written in (serve, fits):
            exist = written is not None and written.exists() and path.exists()
            if exist and written.samefile(path):  # type: ignore[union-attr]
                raise ConfigError("A table that is read would be replaced.", received=str(written))
    current = None
    if of is not None:
        current = Run.open(of) if of.is_dir() else Run(load_run(of))
    images = None if current is None else current.survey
    if survey is not None:
        images = load_survey(survey)
    if images is None:
        raise ConfigError("This run has no images.", received=str(of))
    if classes or current is None:
        questions = build_class_question(classes)
    else:
        questions = build_questions(current.task)
    chosen = read_table(objects, id, None if current is None else current.config.catalog)
    if catalog is not None:
        whole = (read_catalog if current is None else current.read_catalog)(catalog, id=id)
        chosen = whole[find_objects(whole, chosen.ids)]
    pixels = size or (SIZE if current is None else current.config.inputs.size)
    source = open_images(images, chosen, pixels)
    title = "Labels" if current is None else current.config.title or "Labels"
    content = build_page(chosen, source, questions, title=title)
    empty = content["usable"].count(False)
    if empty:
        yield f"{empty} of {len(chosen)} objects have no usable image and are not shown"
    if serve is None:
        write_page(out, content)
        yield f"{len(chosen) - empty} objects, {out.stat().st_size / 1e6:.1f} MB: {out}"
        return
    yield from _serve(content, serve, fits, chosen.roles.id, len(chosen) - empty)


def _validate_outputs(out: Path, serve: Path | None) -> tuple[Path | None, Path | None]:
    """The CSV and the FITS table of labels to write, as far as they are asked for."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError("The page must be an HTML file.", received=str(out), allowed=".html")
    fits = None
    if serve is not None and serve.suffix.lower() == ".fits":
        # Each answer is saved as CSV; the FITS table is written from it at the end.
        fits, serve = serve, serve.with_suffix(".csv")
    if serve is not None and serve.suffix.lower() != ".csv":
        raise ConfigError(
            "Labels are saved as CSV or FITS.", received=str(serve), allowed=(".csv", ".fits")
        )
    if fits is not None and fits.exists() and serve is not None and not serve.exists():
        raise ConfigError(
            f"'{fits}' exists without a table of labels beside it; it is not replaced.",
            received=f"no {serve.name}",
            hint="give another file",
        )
    return serve, fits


def _serve(
    content: dict[str, Any], serve: Path, fits: Path | None, id: str, shown: int
) -> Iterator[str]:
    """Serve the page until it is interrupted, and write the labels as FITS where asked."""
    with LabelServer(content, serve) as server:
        yield f"{shown} objects; labels are saved to {serve}"
        yield f"open {server.url}   (Ctrl+C ends)"
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    if not serve.exists():
        yield "no labels"
        return
    if fits is None:
        yield f"labels: {serve}"
        return
    write_objects(read_catalog(serve, id=id).table, fits, "LABELS")
    yield f"labels: {fits}, and as CSV: {serve}"
