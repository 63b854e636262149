"""The computation of chunks, in this process or in workers.

A `Session` holds what chunks are computed from.  For workers it is stored once in a folder beside
the chunks: the model, the options, and the columns of the catalogue as arrays that are
memory-mapped, so that a task is a few numbers and neither rows nor weights pass the scheduler.
Each worker process opens it once.  What has no stored form (estimators, sources and extras of the
user's own classes) travels with the tasks.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from astrocnn.atomic import replacing_folder, write_text
from astrocnn.calibration import Extra
from astrocnn.catalog import Catalog
from astrocnn.datasets.object_store import read_array, read_objects, write_array, write_objects
from astrocnn.errors import ClusterError
from astrocnn.estimators.base import Estimator
from astrocnn.imaging import Cutouts, Source, get_state
from astrocnn.prediction import chunks
from astrocnn.prediction.chunks import Plan
from astrocnn.prediction.layout import Layout
from astrocnn.prediction.objects import ChunkPrediction, predict_chunk
from astrocnn.prediction.stored_model import list_catalog_columns, read_model, write_model
from astrocnn.scheduling import StoredTask
from astrocnn.stored_files import Stored, read_json

__all__ = ["Computation", "Prediction", "Session", "store"]

_ABOUT = "session.json"


class Computation(Protocol):
    """What is computed for each chunk: options, which are sent with the tasks."""

    def build_layout(
        self, estimator: Estimator, catalog: Catalog, extras: Sequence[Extra]
    ) -> Layout:
        """Columns of the table."""

    def compute(
        self,
        estimator: Estimator,
        catalog: Catalog,
        cutouts: Cutouts,
        extras: Sequence[Extra],
        layout: Layout,
    ) -> ChunkPrediction:
        """Values of all columns that are not the catalogue's own; each row by itself."""


@dataclass(frozen=True)
class Prediction:
    """The computation of `astrocnn.prediction.predict`, with its options."""

    draws: int
    seed: int
    views: str
    pdf: str

    def build_layout(
        self, estimator: Estimator, catalog: Catalog, extras: Sequence[Extra]
    ) -> Layout:
        """Columns of the task and of the extras, and densities."""
        return Layout.build(estimator, catalog, extras, self.pdf)

    def compute(
        self,
        estimator: Estimator,
        catalog: Catalog,
        cutouts: Cutouts,
        extras: Sequence[Extra],
        layout: Layout,
    ) -> ChunkPrediction:
        """Predict some rows."""
        return predict_chunk(
            estimator,
            catalog,
            cutouts,
            draws=self.draws,
            seed=self.seed,
            views=self.views,
            extras=extras,
            planes=layout.planes,
        )


@dataclass
class Session:
    """What the chunks of a table are computed from.

    Attributes
    ----------
    estimator, catalog, source, extras
        As for `astrocnn.prediction.predict`.
    computation : Computation
        What is computed.
    layout : Layout
        The columns.
    plan : Plan
        The chunks.
    folder : Path
        Where their files are.
    """

    estimator: Estimator
    catalog: Catalog
    source: Source
    extras: Sequence[Extra]
    computation: Computation
    layout: Layout
    plan: Plan
    folder: Path
    # TensorFlow has threads of its own: one chunk is predicted while others are read.
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find_missing(self, numbers: Sequence[int]) -> list[int]:
        """Those of some chunks that have no file, or one of other images than there are now."""
        # Lengths and times of files decide what is done, so that done chunks cost no image.
        return [
            chunk
            for chunk in numbers
            if not chunks.exists(
                self.plan, self.folder, chunk, get_state(self.source, self.plan.rows(chunk))
            )
        ]

    def compute_parts(self, numbers: Sequence[int]) -> int:
        """Compute the missing ones of some chunks; the number of their rows."""
        return sum(self.compute(self.find_missing(numbers)))

    def compute(self, numbers: Sequence[int]) -> Iterator[int]:
        """Compute chunks and write their files; yields the number of rows of each."""
        for chunk, state, cutouts in self._read_ahead(numbers):
            with self._lock:
                computed = self.computation.compute(
                    self.estimator,
                    self.catalog[self.plan.rows(chunk)],
                    cutouts,
                    self.extras,
                    self.layout,
                )
            chunks.write(self.plan, self.folder, chunk, computed, self.layout, state)
            yield len(cutouts.flags)

    def _read_ahead(self, numbers: Sequence[int]) -> Iterator[tuple[int, str, Cutouts]]:
        """Read the images of the next chunk, and their state, while one is predicted."""

        def read(chunk: int) -> tuple[int, str, Cutouts]:
            rows = self.plan.rows(chunk)
            # The state first: what is written anew after it shows before the chunks are merged.
            return chunk, get_state(self.source, rows), self.source.read(rows)

        # One thread hides the reading; more would only hold more images in memory.
        with ThreadPoolExecutor(1) as reader:
            upcoming = None
            for chunk, following in zip(numbers, [*numbers[1:], None], strict=False):
                current = upcoming or reader.submit(read, chunk)
                upcoming = None if following is None else reader.submit(read, following)
                yield current.result()


class _About(Stored):
    """The file that describes a stored session."""

    fingerprint: str
    rows_per_chunk: int


def store(session: Session) -> StoredTask:
    """Write what workers need into a folder beside the chunks; what to send to them."""
    folder = session.folder / chunks.SESSION
    plan = session.plan
    # Written anew by each command: it costs little beside the chunks, and may have been damaged.
    with replacing_folder(folder) as temporary:
        own = write_model(temporary, session.estimator, session.extras)
        columns = list_catalog_columns(session.estimator, session.extras)
        source = write_objects(temporary, session.catalog, session.source, columns)
        if source is not None:
            own["source"] = source
        write_array(temporary, "order", plan.order)
        about = _About(fingerprint=plan.fingerprint, rows_per_chunk=plan.rows_per_chunk)
        write_text(temporary / _ABOUT, about.model_dump_json())
    own |= {"computation": session.computation, "fingerprint": plan.fingerprint}
    own["kind"] = getattr(getattr(session.source, "survey", None), "kind", None)
    return StoredTask(_open, folder.resolve(), own)


def _open(folder: Path, own: Mapping[str, Any]) -> Session:
    """Open a stored session in a worker."""
    about: _About = read_json(folder / _ABOUT, _About, ClusterError)
    if about.fingerprint != own["fingerprint"]:
        raise ClusterError(
            f"'{folder}' belongs to another prediction.",
            hint="two predictions cannot be written to one table at a time",
        )
    estimator, extras = read_model(folder, own)
    catalog, source = read_objects(folder, own.get("source"), own["kind"])
    computation: Computation = own["computation"]
    return Session(
        estimator,
        catalog,
        source,
        extras,
        computation,
        computation.build_layout(estimator, catalog[:1], extras),
        Plan(read_array(folder, "order"), about.rows_per_chunk, about.fingerprint),
        folder.parent,
    )
