"""Small stamps as arrays, for tests and notebooks: the same objects without tiles and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from astropy.table import Table

from astrocnn.errors import ConfigError
from astrocnn.simulation.canvas import import_galsim
from astrocnn.simulation.pixels import add_noise, draw_objects
from astrocnn.simulation.population import draw_object, generator
from astrocnn.simulation.presets import Preset, preset_named
from astrocnn.simulation.truth import truth_table

__all__ = ["simulate_stamps"]

FIRST_NEIGHBOR = 2**31  # neighbors are other objects of the population, far along its numbers


def simulate_stamps(
    n_objects: int,
    *,
    size: int = 64,
    preset: str | Preset = "ground",
    bands: Sequence[str] | None = None,
    seed: int = 0,
    class_fractions: Mapping[str, float] | None = None,
    neighbors: float = 0.4,
    noise: bool = True,
) -> tuple[np.ndarray, Table]:
    """Stamps of simulated objects and their truth.

    Parameters
    ----------
    n_objects : int
        Number of objects.
    size : int
        Side of a stamp [pixel].
    preset : str or Preset
        Survey to imitate.
    bands : sequence of str, optional
        Bands of the preset, in the order wanted; all by default.
    seed : int
        Object i of seed s is always the same, whatever `n_objects`.
    class_fractions : mapping of str to float, optional
        Share of each class.
    neighbors : float
        Mean number of unrelated objects whose centers fall on a stamp.
    noise : bool
        False leaves the images without noise.

    Returns
    -------
    images : ndarray of shape (n_objects, size, size, n_bands)
        Flux [nJy], float32.
    truth : Table
        As in the catalogue of `simulate`, without positions.

    Raises
    ------
    ConfigError
        For a preset, band or class that does not exist, or a number that is not positive.
    MissingDependency
        Without galsim.

    Examples
    --------
    >>> images, truth = simulate_stamps(3, size=32, bands=("g", "r"), seed=1)
    >>> images.shape, len(truth)
    ((3, 32, 32, 2), 3)
    """
    import_galsim()
    if n_objects < 1 or size < 1:
        raise ConfigError("Numbers of objects and pixels are positive.", received=(n_objects, size))
    survey = preset_named(preset, bands, fractions=class_fractions)
    objects = [draw_object(seed, index, survey) for index in range(n_objects)]
    images = np.empty((n_objects, size, size, len(survey.bands)), np.float32)
    for index, item in enumerate(objects):
        rng = generator(seed, "neighbors", index)
        count = int(rng.poisson(neighbors))
        pixels = np.vstack(
            [
                (size - 1) / 2 + rng.uniform(-0.5, 0.5, (1, 2)),
                rng.uniform(-0.5, size - 0.5, (count, 2)),
            ]
        )
        first = FIRST_NEIGHBOR + 64 * index
        others = [draw_object(seed, first + number, survey) for number in range(min(count, 64))]
        image = draw_objects([item, *others], pixels[: 1 + len(others)], size, survey)
        for channel, band in enumerate(survey.bands):
            images[index, :, :, channel] = (
                add_noise(image[channel], band, seed, (index, 1)) if noise else image[channel]
            )
    return images, truth_table(objects, survey, None, None)
