"""The simulated survey on disk: tiles, truth catalogue and survey file."""

from __future__ import annotations

import concurrent.futures.process
import dataclasses
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from astropy.table import Table

from astrocnn.atomic import write_text
from astrocnn.errors import AstrocnnError, ConfigError
from astrocnn.progress import track
from astrocnn.simulation.canvas import import_galsim
from astrocnn.simulation.layout import Tile, lay_tiles, outside, place
from astrocnn.simulation.population import draw_object, generator
from astrocnn.simulation.presets import Preset, preset_named
from astrocnn.simulation.tiles import TileJob, tile_name, write_tile
from astrocnn.simulation.truth import truth_table, write_table

__all__ = ["Simulation", "simulate"]

Job = TypeVar("Job")
SIMULATED = "Simulated by astrocnn"
FIRST_LINE = "# A simulated survey; the truth is in catalog.fits."


@dataclasses.dataclass(frozen=True)
class Simulation:
    """What `simulate` has written.

    Parameters
    ----------
    catalog : Path
        Truth catalogue.
    survey : Path
        Survey file, for `astrocnn.imaging.read_survey`.
    tiles : tuple of Path
        Image files of all tiles and bands.
    """

    catalog: Path
    survey: Path
    tiles: tuple[Path, ...]


def simulate(
    out: str | os.PathLike[str],
    *,
    n_objects: int = 2000,
    preset: str | Preset = "ground",
    bands: Sequence[str] | None = None,
    seed: int = 0,
    tile_size: int = 1500,
    overlap: int = 150,
    spacing: float = 72.0,
    center: tuple[float, float] = (150.1, 2.2),
    class_fractions: Mapping[str, float] | None = None,
    awkward_rows: int = 8,
    coarse: Mapping[str, float] | None = None,
    rms: bool = False,
    masked: bool = True,
    workers: int | None = 1,
) -> Simulation:
    """Write a simulated survey with known truth.

    In `out` appear ``tiles/tile<number>_<band>.fits`` (HDUs IMAGE, MASK and, if asked for, RMS),
    ``catalog.fits`` with the truth and ``survey.toml``, which describes the tiles.

    Parameters
    ----------
    out : path
        Folder; made when missing.  Files of the same names are replaced.
    n_objects : int
        Number of objects on the tiles.
    preset : str or Preset
        Survey to imitate: ``"ground"`` (g r i z) or ``"euclid"`` (VIS Y J H).
    bands : sequence of str, optional
        Bands of the preset; all by default.
    seed : int
        The same seed gives identical pixels, whatever `workers`.
    tile_size, overlap : int
        Side of a tile, and width of the overlap of the first two [pixel].
    spacing : float
        Mean distance of objects [pixel]: their number and this set the number of tiles.
    center : tuple of float
        RA, Dec of the middle of the field [deg].
    class_fractions : mapping of str to float, optional
        Share of each class.
    awkward_rows : int
        Further rows of the catalogue, half of them outside all tiles and half without
        coordinates (NaN), as real catalogues have.
    coarse : mapping of str to float, optional
        Bands with larger pixels, and how many times larger.
    rms : bool
        Whether each tile has a plane with the standard deviation of the noise, 1e16 where
        there is no data.
    masked : bool
        Whether the last tile has a masked region.
    workers : int, optional
        Processes; None for one on each core.

    Returns
    -------
    Simulation
        Paths of the files.

    Raises
    ------
    ConfigError
        For a preset, band or class that does not exist, or a number that makes no sense.
    MissingDependency
        Without galsim.
    AstrocnnError
        When a process dies, or cannot start because the calling script has no main guard, or
        the folder holds a catalogue that is not of a simulated survey.
    """
    import_galsim()
    survey = preset_named(preset, bands, coarse, class_fractions)
    if n_objects < 1 or tile_size < 64 or awkward_rows < 0 or not 0 <= overlap < tile_size:
        raise ConfigError(
            "These numbers make no survey.",
            received=f"n_objects={n_objects}, tile_size={tile_size}, overlap={overlap}, "
            f"awkward_rows={awkward_rows}",
            allowed="n_objects >= 1, tile_size >= 64, 0 <= overlap < tile_size, awkward_rows >= 0",
        )
    folder = Path(out)
    refuse_to_replace(folder)
    n_tiles = max(2, round(n_objects * spacing**2 / tile_size**2))
    tiles = lay_tiles(n_tiles, tile_size, overlap, survey.pixel_scale, center)
    objects = [draw_object(seed, index, survey) for index in range(n_objects + awkward_rows)]
    table = truth_table(
        objects, survey, *_positions(seed, n_objects, awkward_rows, tiles, survey.pixel_scale)
    )
    jobs = [
        TileJob(
            folder=folder / "tiles",
            tile=tile,
            preset=survey,
            seed=seed,
            ra=np.array(table["ra"][:n_objects]),
            dec=np.array(table["dec"][:n_objects]),
            masked=masked and tile.index == n_tiles - 1,
            rms=rms,
        )
        for tile in tiles
    ]
    written = [path for paths in run_jobs(jobs, workers, write_tile) for path in paths]
    _write_catalog(folder / "catalog.fits", table, seed)
    write_text(folder / "survey.toml", _survey_file(survey, n_tiles, rms))
    return Simulation(folder / "catalog.fits", folder / "survey.toml", tuple(written))


def refuse_to_replace(folder: Path) -> None:
    """A simulation may be made anew; anything else of its names may be someone's only copy.

    Raises
    ------
    ConfigError
        If the folder is a file, or holds a catalogue or survey file that was not simulated.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"'{folder}' is a file, not a folder.", hint="name another folder")
    foreign = []
    for name, words in (("catalog.fits", SIMULATED), ("survey.toml", FIRST_LINE)):
        path = folder / name
        if path.exists():
            with path.open("rb") as stream:
                if words.encode() not in stream.read(1 << 16):
                    foreign.append(name)
    if foreign:
        raise ConfigError(
            f"'{folder}' holds files that were not simulated: they are not replaced.",
            received=foreign,
            hint="name another folder",
        )


def _positions(
    seed: int, n_objects: int, awkward_rows: int, tiles: tuple[Tile, ...], pixel_scale: float
) -> tuple[np.ndarray, np.ndarray]:
    margin = min(32, tiles[0].size(pixel_scale) // 8)
    places = [place(seed, index, tiles, pixel_scale, margin) for index in range(n_objects)]
    rng = generator(seed, "rows", 0)
    for row in range(awkward_rows):
        places.append(outside(rng, tiles) if row % 2 == 0 else (np.nan, np.nan))
    ra, dec = np.array(places).T
    return ra, dec


def run_jobs(
    jobs: Sequence[Job], workers: int | None, write: Callable[[Job], list[Path]]
) -> Iterator[list[Path]]:
    """Paths of the files of each job, made in this process or in several."""
    count = min(os.cpu_count() or 1 if workers is None else workers, len(jobs))
    if count <= 1:
        yield from track(map(write, jobs), "simulating tiles", len(jobs))
        return
    # A fresh interpreter: forking a process that has started TensorFlow's threads can hang.
    context = multiprocessing.get_context("spawn")
    try:
        with concurrent.futures.ProcessPoolExecutor(count, mp_context=context) as pool:
            yield from track(pool.map(write, jobs), "simulating tiles", len(jobs))
    except concurrent.futures.process.BrokenProcessPool as error:
        raise AstrocnnError(
            "A process that made tiles could not start, or was killed.",
            hint="workers=1; or, in a script, call simulate below if __name__ == '__main__'",
        ) from error


def _write_catalog(path: Path, table: Table, seed: int) -> None:
    # Awkward rows are not all at the end.
    order = generator(seed, "rows", 1).permutation(len(table))
    comments = [
        f"{SIMULATED} with seed {seed}: not a real sky.",
        "Magnitudes are AB, as observed. Some rows lie outside all tiles or have no coordinates.",
    ]
    write_table(table[order], path, comments)


def _survey_file(preset: Preset, n_tiles: int, rms: bool) -> str:
    names = ", ".join(f'"{band.name}"' for band in preset.bands)
    lines = [
        FIRST_LINE,
        f'name = "simulated {preset.name}"',
        'kind = "tiles"',
        'unit = "nJy"',
        f'reference = "{preset.reference}"',
        "# {band} stands for the name of each band.",
        "image = [",
        *(f'  "tiles/{tile_name(number, "{band}")}",' for number in range(n_tiles)),
        "]",
        'hdu = "IMAGE"',
        'mask_hdu = "MASK"',
        *(['rms_hdu = "RMS"'] if rms else []),
        "# Header keyword of the AB magnitude of one image unit.",
        'zero_point = "MAGZERO"',
        f"bands = [{names}]",
    ]
    return "\n".join(lines) + "\n"
