"""One self-contained page on which a person labels objects by eye."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn import atomic
from astrocnn.catalog import Catalog
from astrocnn.errors import ConfigError, PredictionError
from astrocnn.flags import UNUSABLE
from astrocnn.imaging import Cutouts, Source
from astrocnn.labeling.questions import Question, label_columns
from astrocnn.progress import track
from astrocnn.report.gallery import compute_band_levels, encode_jpeg, make_rgb

__all__ = ["EXTRA_COLUMNS", "REPEATED", "build_page", "fill_page", "table_header", "write_page"]

REPEATED = "_repeat"
"""Suffix of the columns with the second answer about objects that are shown twice."""

EXTRA_COLUMNS = ("unsure", "skipped", "note", "seconds")
"""Columns of the table of labels beside those of catalogue and questions."""

_TEMPLATES = "astrocnn.labeling"
_BLOCK = 256
_LEVEL_OBJECTS = 256
_MOST_BYTES = 300_000_000


def build_page(
    catalog: Catalog,
    source: Source,
    questions: Sequence[Question],
    *,
    title: str = "Labels",
) -> dict[str, Any]:
    """Collect what the page shows: objects, images in the stretch of the report, and questions.

    Parameters
    ----------
    catalog : Catalog
        The objects, in the order in which they are shown.  Their columns of numbers and text are
        repeated in the table of labels.
    source : Source
        Their images, row for row.
    questions : sequence of Question
        What is asked about each.
    title : str
        Title of the page.

    Returns
    -------
    dict
        Plain values, for `write_page` or `fill_page`.

    Raises
    ------
    ConfigError
        If a column of the labels would replace one that identifies the object.
    PredictionError
        If no object has an image, or the images are too many for one page.
    """
    answers = label_columns(questions)
    roles = {catalog.roles.id, catalog.roles.ra, catalog.roles.dec}
    if taken := [name for name in answers if name in roles]:
        raise ConfigError(
            "The answers would replace a column that identifies the objects.", received=taken
        )
    written = {*answers, *(a + REPEATED for a in answers), *EXTRA_COLUMNS}
    kept = [
        name
        for name in catalog.table.colnames
        if name not in written and catalog.table[name].ndim == 1
    ]
    rows = [list(values) for values in zip(*(_format(catalog, n) for n in kept), strict=True)]
    images, panels, usable = _encode_images(source, len(catalog))
    if not any(usable):
        raise PredictionError(
            "No object has a usable image.", hint="compare catalogue and survey with 'show'"
        )
    about = {
        "title": title,
        "id": kept.index(catalog.roles.id),
        "columns": kept,
        "rows": rows,
        "questions": [question.to_json() for question in questions],
        "panels": panels,
        "size": source.size,
        "scale": source.pixel_scale,
        "usable": usable,
    }
    # Labels that the browser keeps belong to these objects and questions.
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    return {**about, "key": digest[:16], "images": images}


def write_page(path: Path, content: dict[str, Any]) -> Path:
    """Write the page as one HTML file that needs no server and no network."""
    atomic.write_text(path, fill_page(content))
    return path


def fill_page(content: dict[str, Any], *, save_to: str = "", labels: str = "") -> str:
    """The HTML of a page.

    Parameters
    ----------
    content : dict
        From `build_page`.
    save_to : str
        Relative address that labels are sent to; none in a page without a server.
    labels : str
        Table of labels, CSV, that the page begins with.
    """
    folder = resources.files(_TEMPLATES).joinpath("templates")
    parts = {name: folder.joinpath(f"label.{name}").read_text("utf-8") for name in ("css", "js")}
    data = json.dumps({**content, "saveTo": save_to, "labels": labels}, ensure_ascii=True)
    page = folder.joinpath("label.html").read_text("utf-8")
    # Inside a script element only a closing tag or a comment could end the data.
    parts["data"] = data.replace("<", "\\u003c")
    parts["title"] = _escape(content["title"])
    for name, text in parts.items():
        page = page.replace(f"@{name}@", text)
    return page


def table_header(content: dict[str, Any]) -> list[str]:
    """Column names of the table of labels that the page writes."""
    answers = [c for q in content["questions"] for c in q["answers"][0]["values"]]
    return [*content["columns"], *answers, *(a + REPEATED for a in answers), *EXTRA_COLUMNS]


def _format(catalog: Catalog, name: str) -> list[str]:
    """Values of a column as text that reads back the same; empty where missing."""
    if name == catalog.roles.id:
        return [str(value) for value in catalog.ids.tolist()]
    column = catalog.table[name]
    values, missing = np.ma.getdata(column), np.ma.getmaskarray(column)
    if values.dtype.kind == "f":
        missing = missing | np.isnan(values)
    # Of a float32, str gives the digits that tell it from its neighbors.
    texts = [str(value) for value in values]
    return ["" if gone else text for text, gone in zip(texts, missing.tolist(), strict=True)]


def _encode_images(source: Source, n: int) -> tuple[list[str], list[str], list[bool]]:
    """Images of all objects, the names of the panels in each, and which objects are usable."""
    sample = source.read(np.linspace(0, n - 1, min(n, _LEVEL_OBJECTS)).astype(np.int64))
    good = _find_usable(sample)
    levels = compute_band_levels(sample.images[good]).tolist() if good.any() else None
    panels = _choose_panels(source.bands)
    images: list[str] = []
    usable: list[bool] = []
    total = 0
    for rows in track(_blocks(n), "encoding", total=-(-n // _BLOCK)):
        cutouts = source.read(rows)
        rendered = [make_rgb(cutouts.images, bands, levels) for bands in panels.values()]
        usable += _find_usable(cutouts).tolist()
        for i in range(len(rows)):
            # North is up: row 0 of an array is the bottom of the image.
            strip = np.concatenate([panel[i, ::-1] for panel in rendered], axis=1)
            images.append(encode_jpeg(strip))
            total += len(images[-1])
        if total > _MOST_BYTES:
            raise PredictionError(
                "The images are too many for one page.",
                received=f"{total / 1e6:.0f} MB after {len(images)} of {n} objects",
                allowed=f"{_MOST_BYTES // 1_000_000} MB",
                hint="label the objects in several parts",
            )
    return images, list(panels), usable


def _find_usable(cutouts: Cutouts) -> NDArray[np.bool_]:
    """Whether there is anything to see, of shape (n,)."""
    some = np.isfinite(cutouts.images).any(axis=(1, 2, 3))
    return np.asarray(some & ((cutouts.flags & int(UNUSABLE)) == 0))


def _blocks(n: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, n, _BLOCK):
        yield np.arange(start, min(start + _BLOCK, n))


def _choose_panels(bands: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Bands of each panel: a color image, that of the bluest and reddest bands, each band alone."""
    n = len(bands)
    triples = {(n - 1, n // 2, 0), (2, 1, 0), (n - 1, n - 2, n - 3)} if n >= 3 else set()
    first = [(n - 1, n // 2, 0)] if n >= 3 else []
    ordered: list[tuple[int, ...]] = [*first, *sorted(triples - set(first))]
    panels = {" ".join(bands[b] for b in reversed(triple)): triple for triple in ordered}
    return panels | {bands[b]: (b,) for b in range(n)}


def _escape(text: str) -> str:
    table: dict[str, str] = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
    escape: Callable[[str], str] = lambda c: table.get(c, c)  # noqa: E731
    return "".join(map(escape, text))
