"""``astrocnn outliers``: find the most unusual objects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from astrocnn.catalog import Roles
from astrocnn.embeddings import find_outliers, read_embeddings
from astrocnn.errors import PredictionError
from astrocnn.runs.object_tables import (
    Section,
    open_run_of_images,
    read_table,
    validate_outputs,
    write_objects,
    write_page,
)

__all__ = ["run"]

SCORE = "score"
"""Column of the interest in a file of scores."""


def run(
    embeddings: Path,
    *,
    out: Path,
    n: int = 100,
    method: str = "local_outlier_factor",
    scores: Path | None = None,
    id: str | None = None,
    images: Path | None = None,
    catalog: Path | None = None,
    survey: Path | None = None,
    seed: int = 0,
) -> Iterator[str]:
    """Rank the objects of a table of embeddings by how unusual, or interesting, they are.

    Raises
    ------
    ConfigError
        If `out` has an unknown format, or would replace a table that is read, or images are
        described and not asked for.
    PredictionError
        If the table holds no embeddings, the scores are not of its objects, or the run has no
        images.
    """
    read = [path for path in (embeddings, catalog, scores) if path is not None]
    validate_outputs(out, *read)
    source = open_run_of_images(images, catalog, survey)
    interest = None
    if scores is not None:
        first = next(read_embeddings(embeddings, id=id, rows=1))
        interest = read_scores(scores, id, first.catalog.roles)
    table = find_outliers(embeddings, n, method=method, scores=interest, id=id, seed=seed)
    write_objects(table, out, "OUTLIERS")
    yield f"{len(table)} objects: {out}"
    if source is None:
        return
    page = out.with_suffix(".html")
    by = "outlier_score" if interest is None else "combined_score"
    text = "Below each image is its score, from 0 to 1 over all objects."
    if interest is not None:
        text += f" It is weighted by the interest learned from {len(interest)} scored objects."
    write_page(
        page,
        "Unusual objects",
        [
            Section(
                "Ranking",
                text,
                np.asarray(table[table.colnames[1]]),
                [f"{value:.3f}" for value in table[by]],
            )
        ],
        source,
        table.colnames[1],
        catalog=catalog,
        survey=survey,
        subtitle=f"{len(table)} objects by {method.replace('_', ' ')}",
    )
    yield f"images: {page}"


def read_scores(path: Path, id: str | None = None, known: Roles | None = None) -> dict[str, float]:
    """Read the interest of some objects: a table with identifiers and a column ``score``.

    Rows without a score are left out, so that the table of a ranking can be filled in; `id` and
    `known` are as for `read_table`.

    Raises
    ------
    PredictionError
        If no row has a score.
    CatalogError
        If the table has no identifiers, repeats one, or has no such column.
    """
    table = read_table(path, id, known)
    values = table.numbers(SCORE)
    found = {
        str(name): float(value)
        for name, value in zip(table.ids.tolist(), values, strict=True)
        if np.isfinite(value)
    }
    if not found:
        raise PredictionError(
            f"'{path}' holds no score.",
            allowed=f"a column '{SCORE}' with numbers from 0 (boring) to 5 (what is sought)",
        )
    return found
