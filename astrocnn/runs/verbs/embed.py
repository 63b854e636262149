"""``astrocnn embed``: write a feature vector for every object of a catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from glob import escape
from pathlib import Path

from astrocnn.atomic import remove_leftovers, sha256
from astrocnn.backend import load_tensorflow
from astrocnn.errors import ConfigError
from astrocnn.prediction import embed, parse_worker, to_parquet
from astrocnn.prediction.embedding import EMBEDDINGS
from astrocnn.runs.run import Run, open_images, select_bands
from astrocnn.runs.verbs.predict import refuse_catalog

__all__ = ["run"]

FORMATS = (".fits", ".parquet")


def run(
    folder: Path,
    *,
    out: Path,
    catalog: Path | None = None,
    survey: Path | None = None,
    id: str | None = None,
    layer: str | None = None,
    views: str | None = None,
    worker: str = "1/1",
) -> Iterator[str]:
    """Embed every row of a catalogue with the estimator of a run directory.

    Raises
    ------
    ConfigError
        If `out` ends in something else than .fits or .parquet, or would replace the catalogue.
    """
    if out.suffix not in FORMATS:
        raise ConfigError(
            "The table to write has an unknown format.", received=str(out), allowed=FORMATS
        )
    current = Run.open(folder)
    config, home = current.config, current.directory
    share = parse_worker(worker)
    home.require(home.model, "train")
    whole = out.with_suffix(".fits")
    for path in {out, whole}:
        refuse_catalog(path, config, catalog)
    objects, images = current.read_objects(catalog, survey, id)

    load_tensorflow()
    estimator = current.estimator
    if images is not None:
        images = select_bands(images, estimator.inputs.bands)
    table = embed(
        estimator,
        objects,
        open_images(images, objects, estimator.inputs.size),
        whole,
        layer=layer,
        views=config.prediction.views if views is None else views,
        worker=share,
        provenance={
            "CONFSHA": sha256(home.config_file),
            "SURVEY": "" if images is None else images.name,
        },
    )
    if table is None:
        yield f"the parts of worker {worker} are done; others are missing"
        return
    if out.suffix == ".parquet":
        remove_leftovers(out.parent, escape(out.name))
        to_parquet(table, out, hdu=EMBEDDINGS)
    yield f"{len(objects)} rows: {out}"
