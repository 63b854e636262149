"""``astrocnn simulate``: a survey with known truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from astrocnn.simulation import simulate

__all__ = ["run"]


def run(out: Path, *, objects: int = 2500, seed: int = 0, preset: str = "ground") -> Iterator[str]:
    """Write tiles, a catalogue with truth and the survey file."""
    made = simulate(out, n_objects=objects, seed=seed, preset=preset, workers=None)
    yield f"{objects} simulated objects on {len(made.tiles)} images"
    yield f"catalogue: {made.catalog}"
    yield f"survey:    {made.survey}"
