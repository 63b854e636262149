"""An interactive map of embeddings: one HTML file that needs no server and no network."""

from __future__ import annotations

import base64
import html
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from matplotlib import colormaps
from numpy.typing import ArrayLike, NDArray

from astrocnn import atomic
from astrocnn.embeddings.blocks import Standardization, read_embeddings, sample_vectors, take_rows
from astrocnn.errors import PredictionError
from astrocnn.explain.methods.embedding import embed as reduce_dimensions
from astrocnn.plugins import nearest

__all__ = ["MOST_CLASSES", "MOST_POINTS", "Projection", "project", "select_colors", "write_map"]

MOST_POINTS = {"pca": 100_000, "tsne": 10_000, "umap": 50_000}
"""Objects on a map at most, by method; of larger tables a random sample."""

MOST_CLASSES = 20
"""Different values of a column of text, or of whole numbers, that are shown as classes."""

_MOST_COLUMNS = 40
_STEPS = 65535


@dataclass(frozen=True, eq=False)
class Projection:
    """Objects in two dimensions.

    Attributes
    ----------
    objects : Table of length n
        Identifier and position; the first column is the identifier.
    points : ndarray of float32, shape (n, 2)
    axes : (str, str)
        Names of the coordinates.
    total : int
        Objects of the table with an embedding.
    """

    objects: Table
    points: NDArray[np.float32]
    axes: tuple[str, str]
    total: int

    @property
    def ids(self) -> NDArray[Any]:
        """Identifiers, of shape (n,)."""
        return np.asarray(self.objects[self.objects.colnames[0]])


def project(
    path: str | os.PathLike[str], *, method: str = "pca", id: str | None = None, seed: int = 0
) -> Projection:
    """Project a table of embeddings on two dimensions.

    Parameters
    ----------
    path : path-like
        Table of embeddings, as for `read_embeddings`.
    method : {"pca", "tsne", "umap"}
        See `astrocnn.explain.methods.embedding`.
    id : str, optional
        Column of the identifiers, where it cannot be guessed.
    seed : int
        Of the sample of a large table, of t-SNE and of UMAP.

    Raises
    ------
    PredictionError
        If there is no such method, or no embedding.
    InputsError
        If there are too few objects.
    MissingDependency
        If UMAP is not installed.
    """
    if method not in MOST_POINTS:
        raise PredictionError(
            "Unknown `method` of a map.",
            received=method,
            allowed=tuple(MOST_POINTS),
            hint=nearest(method, tuple(MOST_POINTS)),
        )
    scaling = Standardization.fit(read_embeddings(path, id=id))
    rows, vectors = sample_vectors(path, scaling, MOST_POINTS[method], id=id, seed=seed)
    reduced = reduce_dimensions(vectors, method=method, seed=seed)
    catalog = take_rows(path, rows, id=id)
    objects = Table({name: np.asarray(column) for name, column, _ in catalog.role_columns()})
    names = {"pca": "component", "tsne": "t-SNE", "umap": "UMAP"}[method]
    if method == "pca":
        first, second = (f"{100 * part:.0f} %" for part in reduced.explained)
        axes = f"first component ({first} of the variance)", f"second component ({second})"
    else:
        axes = f"{names} 1", f"{names} 2"
    return Projection(objects, reduced.points, axes, scaling.count)


def select_colors(
    table: Table, ids: ArrayLike, id: str, names: Sequence[str] = ()
) -> dict[str, NDArray[Any]]:
    """Columns of a table by which the points of a map can be colored.

    Parameters
    ----------
    table : Table
        Labels, scores or predictions.
    ids : array_like of shape (n,)
        Identifiers of the points.
    id : str
        Its column of identifiers.
    names : sequence of str
        Columns to take; by default all numbers, and texts with at most `MOST_CLASSES` values.

    Returns
    -------
    dict of str to ndarray of shape (n,)
        Texts or float64 by name; empty or NaN where the table has no value.

    Raises
    ------
    PredictionError
        If a column is not in the table, or no point is.
    """
    if absent := [name for name in names if name not in table.colnames]:
        raise PredictionError(
            "There is no such column to color by.",
            received=absent,
            allowed=table.colnames,
            hint=nearest(absent[0], table.colnames),
        )
    place = {str(name): row for row, name in enumerate(np.asarray(table[id]).tolist())}
    rows = np.array([place.get(str(name), -1) for name in np.asarray(ids).tolist()])
    if not (rows >= 0).any():
        raise PredictionError(
            "No object of the map is in the table of colors.",
            received=f"identifiers such as {', '.join(list(place)[:3])}",
            allowed=f"such as {', '.join(map(str, np.asarray(ids)[:3].tolist()))}",
        )
    found = {}
    for name in names or [n for n in table.colnames if n != id]:
        values = _read_column(table[name], rows)
        if values is not None and (names or _is_useful(values)):
            found[name] = values
    if names:
        return found
    # Classes first: the map opens with the first column.
    order = sorted(found, key=lambda name: found[name].dtype.kind == "f")
    return {name: found[name] for name in order[:_MOST_COLUMNS]}


def _read_column(column: Any, rows: NDArray[np.integer]) -> NDArray[Any] | None:
    """Values of some rows as text or numbers; None for vectors and other kinds."""
    data, gone = np.ma.getdata(column), np.ma.getmaskarray(column)
    if data.ndim != 1 or data.dtype.kind not in "iufbUSO":
        return None
    missing = (rows < 0) | gone[rows]
    if data.dtype.kind in "iufb":
        return np.where(missing, np.nan, np.asarray(data[rows], np.float64))
    texts = [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in data[rows]]
    return np.where(missing, "", np.array(texts, dtype=str))


def _is_useful(values: NDArray[Any]) -> bool:
    """Whether the values differ, and texts are classes rather than names."""
    if values.dtype.kind == "f":
        known = values[np.isfinite(values)]
        return bool(known.size and np.ptp(known) > 0)
    return 1 < len(set(values.tolist()) - {""}) <= MOST_CLASSES


def write_map(
    path: str | os.PathLike[str],
    projection: Projection,
    *,
    colors: Mapping[str, NDArray[Any]] | None = None,
    thumbnails: Sequence[str] = (),
    title: str = "Map of embeddings",
) -> Path:
    """Write the map.

    Points are drawn on a canvas: zoom, pan, a thumbnail under the pointer, colors by class or
    value, and a lasso whose identifiers are saved as CSV.  It works with the keyboard, and follows
    the reader's light or dark scheme.

    Parameters
    ----------
    path : path-like
        HTML file to write.
    projection : Projection
        The points.
    colors : mapping of str to ndarray of shape (n,), optional
        From `select_colors`; text for classes.
    thumbnails : sequence of str of length n, optional
        JPEG images in base64, empty where there is none.
    title : str

    Raises
    ------
    PredictionError
        If a column does not have one value for each point.
    """
    n = len(projection.points)
    for name, values in {
        **(colors or {}),
        **({"thumbnails": thumbnails} if thumbnails else {}),
    }.items():
        if len(values) != n:
            raise PredictionError(
                f"'{name}' must have one value for each point of the map.",
                received=len(values),
                allowed=n,
            )
    low, high = projection.points.min(axis=0), projection.points.max(axis=0)
    # One scale for both axes: distances mean the same in every direction.
    span = float(np.max(high - low)) or 1.0
    low = (low + high - span) / 2
    places = np.round((projection.points - low) / span * _STEPS).astype("<u2")
    count = f"{n:,} objects"
    if projection.total > n:
        count = f"{n:,} of {projection.total:,} objects, chosen at random"
    data = {
        "title": title,
        "count": count,
        "idName": projection.objects.colnames[0],
        "ids": [str(name) for name in projection.ids.tolist()],
        "axes": projection.axes,
        "low": low.tolist(),
        "span": span,
        "x": _base64(places[:, 0]),
        "y": _base64(places[:, 1]),
        "columns": [_describe(name, values) for name, values in (colors or {}).items()],
        "thumbnails": list(thumbnails),
        # 16 colors of the scale of numbers.
        "scale": [
            "#{:02x}{:02x}{:02x}".format(
                *(round(255 * c) for c in colormaps["viridis"](k / 15)[:3])
            )
            for k in range(16)
        ],
    }
    folder = resources.files("astrocnn.embeddings").joinpath("templates")
    parts = {name: folder.joinpath(f"map.{name}").read_text("utf-8") for name in ("css", "js")}
    # Inside a script element only a closing tag or a comment could end the data.
    parts["data"] = json.dumps(data, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")
    parts["title"] = html.escape(title)
    page = folder.joinpath("map.html").read_text("utf-8")
    for name, text in parts.items():
        page = page.replace(f"@{name}@", text)
    atomic.write_text(path, page)
    return Path(path)


def _describe(name: str, values: NDArray[Any]) -> dict[str, Any]:
    """A column as the page reads it: classes as numbers, or numbers with the ends of a scale."""
    if values.dtype.kind != "f":
        texts = values.astype(str)
        names, counts = np.unique(texts[texts != ""], return_counts=True)
        # The most frequent classes have colors of their own.
        names = names[np.argsort(-counts, kind="stable")]
        shown = names[:MOST_CLASSES].tolist()
        place = {text: k for k, text in enumerate(shown)}
        numbers = [place.get(text, 255 if text == "" else 254) for text in texts.tolist()]
        return {
            "name": name,
            "kind": "class",
            "names": shown,
            "values": _base64(np.array(numbers, np.uint8)),
        }
    known = values[np.isfinite(values)]
    low, high = np.quantile(known, [0.01, 0.99]).tolist() if known.size else (0.0, 1.0)
    return {
        "name": name,
        "kind": "number",
        "low": low,
        "high": high if high > low else low + 1.0,
        "values": _base64(values.astype("<f4")),
    }


def _base64(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")
