"""``astrocnn simulate``: simulate a survey with known truth."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

from astrocnn.errors import ConfigError
from astrocnn.plugins import nearest
from astrocnn.simulation import simulate, simulate_quality
from astrocnn.simulation.redshift import simulate_redshift

__all__ = ["SURVEYS", "run"]

SURVEYS: dict[str, Callable[..., Any]] = {
    "ground": partial(simulate, preset="ground", workers=None),
    "euclid": partial(simulate, preset="euclid", workers=None),
    "redshift": partial(simulate_redshift, workers=None),
    "quality": simulate_quality,
    "quality64": partial(simulate_quality, size=64),
}
"""What can be simulated, by name."""


def run(
    out: Path, *, objects: int = 2500, seed: int = 0, preset: str = "ground"
) -> Generator[str, None, Path]:
    """Write images, a catalogue with truth and the survey file; return the folder of images.

    Raises
    ------
    ConfigError
        If there is no such survey.
    """
    if preset not in SURVEYS:
        raise ConfigError(
            f"There is no simulated survey '{preset}'.",
            allowed=tuple(SURVEYS),
            hint=nearest(preset, tuple(SURVEYS)),
        )
    made = SURVEYS[preset](out, n_objects=objects, seed=seed)
    yield f"{objects} simulated objects on {len(made.tiles)} images"
    yield f"catalogue: {made.catalog}"
    yield f"survey:    {made.survey}"
    return Path(made.tiles[0]).parent
