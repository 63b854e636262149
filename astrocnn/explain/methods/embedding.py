"""Embedding: objects as points in a plane, close where their activations of a layer are similar.

References
----------
Pearson 1901, Phil. Mag. 2, 559 (principal components).
van der Maaten & Hinton 2008, JMLR 9, 2579 (t-SNE).
McInnes, Healy & Melville 2018, arXiv:1802.03426 (UMAP).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras
from astrocnn.errors import InputsError, MissingDependency, ModelError
from astrocnn.explain.attribution import Explanation
from astrocnn.explain.explained_network import Inspection
from astrocnn.explain.figures import plot_embedding
from astrocnn.explain.hdus import native, table_hdu
from astrocnn.explain.methods import InspectionMethod
from astrocnn.explain.network import Evaluator
from astrocnn.models.layer_access import cut_after
from astrocnn.plugins import nearest
from astrocnn.report.page import Picture

__all__ = ["METHOD", "Embedding", "embed", "embedding", "layer_vectors"]

_METHODS = ("pca", "tsne", "umap")
_FEWEST = {"pca": 2, "tsne": 4, "umap": 4}
_COMPONENTS = 50
"""Principal components from which neighbors are found."""
_PERPLEXITY = 30.0
_NEIGHBORS = 15


class Embedding(NamedTuple):
    """Result of `embedding`."""

    points: NDArray[np.float32]
    """Place of each object, of shape (n, 2)."""
    method: str
    explained: NDArray[np.float64]
    """Fraction of the variance along either axis, of shape (2,); NaN but for ``"pca"``."""


def embedding(
    model: keras.Model,
    images: Any,
    *,
    layer: str | None = None,
    method: str = "pca",
    scalars: Any = None,
    seed: int = 0,
    batch_size: int = 64,
) -> Embedding:
    """Embed objects in two dimensions by their activations of a layer.

    Parameters
    ----------
    model, images, scalars, batch_size
        See `astrocnn.explain.methods`.
    layer : str, optional
        Name of any layer; the input of the heads by default.
    method : {"pca", "tsne", "umap"}
        The two directions of largest variance, along which distances mean something; or t-SNE or
        UMAP, in which neighbors stay neighbors, but neither the distance between groups nor their
        size means anything.
    seed : int
        Of t-SNE and UMAP; principal components have none.

    Raises
    ------
    ModelError
        If there is no such layer or method.
    InputsError
        If there are too few objects.
    MissingDependency
        If UMAP is not installed.
    """
    _validate(method, len(images))  # before the network runs
    vectors = layer_vectors(model, images, layer, scalars=scalars, batch_size=batch_size)
    return embed(vectors, method=method, seed=seed)


def layer_vectors(
    model: keras.Model,
    images: Any,
    layer: str | None = None,
    *,
    scalars: Any = None,
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """One vector per object from a layer, of shape (n, d); maps are averaged over their pixels.

    Parameters and errors are as for `embedding`.
    """
    evaluator = Evaluator(model, images, scalars=scalars, batch_size=batch_size)
    cut = cut_after(model, layer)
    return evaluator.map(lambda x: cut(x, training=False))


def embed(vectors: Any, *, method: str = "pca", seed: int = 0) -> Embedding:
    """Embed given vectors, such as ``estimator.features(images)``.

    Parameters
    ----------
    vectors : array_like of shape (n, d)
        Finite.
    method, seed
        As for `embedding`, with its errors.

    Examples
    --------
    >>> result = embed([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0], [2.0, 1.0]])
    >>> result.points[:, 0].tolist(), result.explained.tolist()
    ([-1.0, 1.0, -1.0, 1.0], [0.8, 0.2])
    """
    x = np.asarray(vectors, np.float64)
    _validate(method, len(x))
    if x.ndim != 2 or not x.shape[1] or not np.isfinite(x).all():
        raise InputsError(
            "`vectors` must be finite.",
            received=f"shape {x.shape}",
            allowed="shape (n, d), all numbers finite",
        )
    axes, explained = _compute_principal_axes(x)
    x = (x - x.mean(axis=0)) @ axes[: 2 if method == "pca" else _COMPONENTS].T
    if method == "pca":
        points = np.pad(x, ((0, 0), (0, 2 - x.shape[1])))
        return Embedding(points.astype(np.float32), method, np.pad(explained, (0, 2))[:2])
    points = (_fit_tsne if method == "tsne" else _fit_umap)(x, seed)
    return Embedding(np.asarray(points, np.float32), method, np.full(2, np.nan))


def _validate(method: str, n: int) -> None:
    if method not in _METHODS:
        raise ModelError(
            "Unknown embedding `method`.",
            received=repr(method),
            allowed=_METHODS,
            hint=nearest(str(method), _METHODS),
        )
    if n < _FEWEST[method]:
        raise InputsError(
            "Too few objects to embed.",
            received=n,
            allowed=f"{_FEWEST[method]} or more for '{method}'",
        )


def _compute_principal_axes(
    x: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Directions of largest variance, as rows, and the fraction of the variance along each."""
    # R of a QR decomposition has the singular values of the tall matrix, and is small.
    _, s, axes = np.linalg.svd(np.linalg.qr(x - x.mean(axis=0), mode="r"), full_matrices=False)
    # Fix the sign by the largest component, so that it does not depend on the order of objects.
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    total = float(np.sum(s**2))
    return np.where(largest < 0, -axes, axes), s**2 / total if total > 0 else np.zeros_like(s)


def _fit_tsne(x: NDArray[np.float64], seed: int) -> Any:
    from sklearn.manifold import TSNE

    # Three neighbors must exist for each unit of perplexity.
    perplexity = min(_PERPLEXITY, (len(x) - 1) / 3)
    start = x[:, :2] if x.shape[1] > 1 else np.pad(x, ((0, 0), (0, 1)))
    start = 1e-4 * start / max(float(start[:, 0].std()), 1e-300)
    return TSNE(perplexity=perplexity, init=start, random_state=seed).fit_transform(x)


def _fit_umap(x: NDArray[np.float64], seed: int) -> Any:
    try:
        from umap import UMAP
    except ImportError as error:
        raise MissingDependency("umap", "umap", "embed objects by UMAP") from error
    neighbors = min(_NEIGHBORS, len(x) - 1)
    # UMAP is reproducible with one thread only.
    return UMAP(n_neighbors=neighbors, random_state=seed, n_jobs=1).fit_transform(x)


def _inspect(inspection: Inspection) -> list[Any]:
    """The table EMBEDDING: coordinates of each object, and values for its color."""
    rows = inspection.rows
    images, scalars = inspection.network.arrays(rows)
    result = embedding(inspection.model, images, scalars=scalars, seed=inspection.seed)
    variance = 100 * float(np.sum(result.explained))
    points = result.points.astype(np.float64)
    columns: dict[str, tuple[Any, str, str]] = {
        "id": (inspection.network.shards.ids[rows], "", "identifier"),
        "row": (np.asarray(rows, np.int64), "", "row of the catalogue, from 0"),
        "x": (points[:, 0], "", "first coordinate"),
        "y": (points[:, 1], "", "second coordinate"),
    }
    colors = inspection.predictions.colors(inspection.target, rows)
    for number, (label, values) in enumerate(colors.items(), start=1):
        columns[f"color{number}"] = (np.asarray(values), "", label)
    method = f"PCA, {variance:.0f} % of the variance"
    return [table_hdu("EMBEDDING", columns, [("METHOD", method, "of the dimension reduction")])]


def _plot(hdus: Sequence[Any], explanation: Explanation) -> list[Picture]:
    table, header = hdus[0].data, hdus[0].header
    colors = {
        header[f"TCOMM{k}"]: native(table[name])
        for k, name in enumerate(hdus[0].columns.names, start=1)
        if name.startswith("color")
    } or {"": None}
    images = explanation.images
    pictures = []
    for i, (label, values) in enumerate(colors.items()):
        figure = plot_embedding(
            np.stack([native(table[name]) for name in "xy"], axis=1),
            colors=values,
            color_label=label,
            names=("first component", "second component"),
            # Thumbnails on the first figure only: the points are the same on all.
            thumbnails=None if i or images is None else images(native(table["row"])),
        )
        by = f", colored by {label}" if label else ""
        caption = (
            "Objects in the space of the last layer before the output, in two dimensions "
            f"({header['METHOD']}){by}. Objects that are close are similar to the network."
        )
        pictures.append(Picture(figure, caption, raster=True))
    return pictures


METHOD = InspectionMethod(_inspect, _plot, needs_objects=True)
