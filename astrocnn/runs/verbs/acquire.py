"""``astrocnn acquire``: choose the objects that are worth labelling next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from astrocnn.acquisition import acquire
from astrocnn.runs.object_tables import (
    Section,
    require_images,
    validate_outputs,
    write_objects,
    write_page,
)
from astrocnn.runs.run import Run
from astrocnn.runs.verbs.predict import refuse_catalog

__all__ = ["run"]


def run(
    folder: Path,
    *,
    out: Path,
    n: int = 200,
    catalog: Path | None = None,
    survey: Path | None = None,
    id: str | None = None,
    method: str = "batchbald",
    random: float = 0.2,
    balance: bool = False,
    target: str | None = None,
    draws: int | None = None,
    seed: int = 0,
    images: bool = False,
) -> Iterator[str]:
    """Rank the objects of a catalogue without a label for labelling; resumed like a prediction.

    Raises
    ------
    ConfigError
        If `out` has an unknown format, or would replace the catalogue, or the task has no classes.
    PredictionError
        If there is no such method, no object to choose, or the run has no images to show.
    """
    current = Run.open(folder)
    config, home = current.config, current.directory
    home.require(home.model, "train")
    validate_outputs(out)
    if images:
        require_images(current, survey)
    refuse_catalog(out, config, catalog)
    objects, source = current.open_objects(catalog, survey, id)
    table = acquire(
        current.estimator,
        objects,
        source,
        n,
        method=method,
        random=random,
        balance=balance,
        target=target,
        draws=config.prediction.draws if draws is None else draws,
        seed=seed,
        parts=out.with_name(out.name + ".parts"),
    )
    write_objects(table, out, "ACQUIRE")
    by_chance = int(np.count_nonzero(table["chosen_by"] == "random"))
    yield f"{len(table)} objects, {by_chance} of them by chance: {out}"
    if not images:
        return
    page = out.with_suffix(".html")
    captions = [
        f"{row['predicted']} {row['probability']:.2f}"
        + (", by chance" if row["chosen_by"] == "random" else "")
        for row in table
    ]
    name = table.colnames[1]
    text = "Below each image are the most probable class and its probability."
    section = Section("Ranking", text, np.asarray(table[name]), captions)
    title = "Objects to label"
    write_page(page, title, [section], current, name, catalog=catalog, survey=survey)
    yield f"images: {page}"
