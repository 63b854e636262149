"""``astrocnn similar``: find the objects that are most similar to given ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from astrocnn.embeddings import find_similar, open_index
from astrocnn.runs.object_tables import (
    Section,
    open_run_of_images,
    validate_outputs,
    write_objects,
    write_page,
)

__all__ = ["run"]


def run(
    embeddings: Path,
    *,
    to: Sequence[str],
    out: Path,
    n: int = 50,
    id: str | None = None,
    images: Path | None = None,
    catalog: Path | None = None,
    survey: Path | None = None,
    index: Path | None = None,
) -> Iterator[str]:
    """Rank the objects of a table of embeddings by their distance from given ones.

    Raises
    ------
    ConfigError
        If `out` has an unknown format, or would replace a table that is read, or images are
        described and not asked for.
    PredictionError
        If the table holds no embeddings, an identifier is not in it, or the run has no images.
    """
    validate_outputs(out, embeddings, *([] if catalog is None else [catalog]))
    source = open_run_of_images(images, catalog, survey)
    neighbors = None
    if index is not None:
        neighbors = open_index(embeddings, index, id=id)
        yield (
            f"index of {neighbors.count} objects: {index}; it finds {neighbors.recall:.1%} of the "
            "50 nearest, measured on 100 objects"
        )
    table = find_similar(embeddings, to, n, id=id, index=neighbors)
    write_objects(table, out, "SIMILAR")
    yield f"{len(table)} objects: {out}"
    if source is None:
        return
    page = out.with_suffix(".html")
    examples = np.array(list(dict.fromkeys(text.strip() for text in to)))
    numbers = {name: number for number, name in enumerate(examples.tolist(), start=1)}
    several = len(examples) > 1
    captions = [
        f"{row['distance']:.2f}" + (f", example {numbers[row['nearest']]}" if several else "")
        for row in table
    ]
    write_page(
        page,
        "Similar objects",
        [
            Section("Examples", "", examples, [f"example {k}" * several for k in numbers.values()]),
            Section(
                "Most similar",
                "Below each image is the distance of its embedding from that of the nearest "
                "example, in units in which every feature has a standard deviation of 1.",
                np.asarray(table[table.colnames[1]]),
                captions,
            ),
        ],
        source,
        table.colnames[1],
        catalog=catalog,
        survey=survey,
        subtitle=f"{len(table)} objects nearest to {', '.join(examples.tolist())}",
    )
    yield f"images: {page}"
