"""``astrocnn embed``: write a feature vector for every object of a catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from glob import escape
from pathlib import Path

from astrocnn.atomic import remove_leftovers, sha256
from astrocnn.backend import load_tensorflow
from astrocnn.clusters import open_scheduler
from astrocnn.errors import ConfigError
from astrocnn.prediction import embed, to_parquet
from astrocnn.prediction.embedding import EMBEDDINGS
from astrocnn.runs.run import Run, open_images, select_bands
from astrocnn.runs.verbs.predict import parse_share, refuse_catalog

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
    workers: int = 1,
    cluster: str | None = None,
) -> Iterator[str]:
    """Embed every row of a catalogue with the estimator of a run directory.

    Raises
    ------
    ConfigError
        If `out` ends in something else than .fits or .parquet, or would replace the catalogue;
        if `worker` is given beside `workers` or `cluster`.
    """
    if out.suffix not in FORMATS:
        raise ConfigError(
            "The table to write has an unknown format.", received=str(out), allowed=FORMATS
        )
    current = Run.open(folder)
    config, home = current.config, current.directory
    share = parse_share(worker, workers, cluster)
    home.require(home.model, "train")
    whole = out.with_suffix(".fits")
    for path in {out, whole}:
        refuse_catalog(path, config, catalog)
    objects, images = current.read_objects(catalog, survey, id)

    load_tensorflow()
    estimator = current.estimator
    if images is not None:
        images = select_bands(images, estimator.inputs.bands)
    with open_scheduler(cluster, workers) as scheduler:
        table = embed(
            estimator,
            objects,
            open_images(images, objects, estimator.inputs.size),
            whole,
            layer=layer,
            views=config.prediction.views if views is None else views,
            worker=share,
            scheduler=scheduler,
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
