"""``astrocnn embed``: write a feature vector for every object of a catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from astrocnn.errors import ConfigError
from astrocnn.prediction import embed, to_parquet
from astrocnn.prediction.embedding import EMBEDDINGS
from astrocnn.runs.run import Run
from astrocnn.runs.verbs.predict import parse_share, write_table

__all__ = ["run"]

_WRITERS = {".parquet": partial(to_parquet, hdu=EMBEDDINGS)}
FORMATS = (".fits", *_WRITERS)


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
    chosen = config.prediction.views if views is None else views
    yield from write_table(
        current,
        partial(embed, layer=layer, views=chosen),
        out,
        _WRITERS,
        catalog=catalog,
        survey=survey,
        id=id,
        share=share,
        workers=workers,
        cluster=cluster,
    )
