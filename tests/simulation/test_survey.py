"""The simulated survey on disk: files, world coordinates, fluxes, noise, masks, seeds."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from astrocnn.errors import ConfigError
from astrocnn.imaging import Survey, open_source, read_survey
from astrocnn.simulation import Simulation, simulate
from astrocnn.simulation.spectra import MOFFAT_BETA
from tests.simulation.conftest import N_OBJECTS

SMALL = {"n_objects": 12, "tile_size": 128, "overlap": 20, "bands": ("r",), "invalid_rows": 0}


@pytest.fixture(scope="module")
def truth(simulation: Simulation) -> Table:
    return Table.read(simulation.catalog)


def tile(simulation: Simulation, number: int, band: str) -> Path:
    return next(p for p in simulation.tiles if p.name == f"tile{number:02d}_{band}.fits")


def inside(truth: Table, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Rows on a tile and their pixel positions."""
    rows = np.flatnonzero(np.isfinite(np.ma.filled(truth["ra"], np.nan)))
    with fits.open(path) as hdus:
        wcs, size = WCS(hdus["IMAGE"].header), hdus["IMAGE"].data.shape[0]
    pixel = wcs.all_world2pix(np.column_stack([truth["ra"][rows], truth["dec"][rows]]), 0)
    keep = np.all((pixel > -0.5) & (pixel < size - 0.5), axis=1)
    return rows[keep], pixel[keep]


def test_files(simulation):
    folder = simulation.catalog.parent
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()) == [
        "catalog.fits",
        "survey.toml",
        *(f"tiles/tile{n:02d}_{b}.fits" for n in (0, 1) for b in "gr"),
    ]
    assert all(path.is_file() for path in simulation.tiles)


def test_catalog_has_exact_ids_labels_and_invalid_rows(simulation, truth):
    assert len(truth) == N_OBJECTS + 6
    assert truth["id"].dtype.newbyteorder("=") == np.int64
    assert len(set(truth["id"])) == len(truth) and min(truth["id"]) >= 10**18
    assert set(truth["morphology"]) <= {"elliptical", "spiral", "edge_on", "merger", "star"}
    assert np.isnan(np.ma.filled(truth["ra"], np.nan)).sum() == 3
    covered = {row for n in (0, 1) for row in inside(truth, tile(simulation, n, "r"))[0]}
    assert len(covered) == N_OBJECTS
    with fits.open(simulation.catalog, checksum=True) as hdus:
        header = hdus["CATALOG"].header
        names = [header[f"TTYPE{n}"] for n in range(1, header["TFIELDS"] + 1)]
        assert header[f"TCOMM{names.index('handedness') + 1}"].startswith("1: arms turn")
        assert header[f"TUNIT{names.index('r_e') + 1}"] == "arcsec"


def test_tiles_overlap_and_lie_on_both_sides_of_the_meridian(simulation, truth):
    first, second = (set(inside(truth, tile(simulation, n, "r"))[0]) for n in (0, 1))
    assert first & second and first - second and second - first
    ra = np.array(truth["ra"][sorted(first | second)])
    assert (ra > 359).any() and (ra < 1).any()


def test_survey_file_describes_the_tiles(simulation, truth):
    survey = read_survey(simulation.survey)
    assert survey.band_names == ("g", "r") and survey.unit == "nJy"
    rows, pixel = inside(truth, tile(simulation, 0, "r"))
    deep = rows[np.all((pixel > 40) & (pixel < 310), axis=1)]
    source = open_source(
        survey, ra=np.array(truth["ra"][deep]), dec=np.array(truth["dec"][deep]), size=33
    )
    cutouts = source.read(np.arange(len(deep)))
    assert not cutouts.flags.any()
    assert source.pixel_scale == pytest.approx(0.3, rel=1e-6)


def test_fluxes_and_centroids_of_bright_isolated_stars(tmp_path):
    made = simulate(
        tmp_path,
        n_objects=30,
        seed=1,
        tile_size=500,
        bands=("g", "z"),
        class_fractions={"star": 1},
        invalid_rows=0,
        masked=False,
        spacing=130,
    )
    truth = Table.read(made.catalog)
    checked = 0
    for path in made.tiles:
        rows, pixel = inside(truth, path)
        with fits.open(path) as hdus:
            image, header = hdus["IMAGE"].data, hdus["IMAGE"].header
        y, x = np.indices(image.shape)
        for row, (px, py) in zip(rows, pixel, strict=True):
            alone = np.sum(np.hypot(*(pixel - (px, py)).T) < 40) == 1
            if not alone or min(px, py, 499 - px, 499 - py) < 25 or truth["mag_g"][row] > 20:
                continue
            near = np.hypot(x - px, y - py) < 18
            flux = image[near].sum(dtype=np.float64)
            expected = 10 ** (0.4 * (header["MAGZERO"] - truth[f"mag_{header['FILTER']}"][row]))
            # Light of a Moffat profile beyond the aperture (Trujillo et al. 2001, eq. 3).
            alpha = header["PSFFWHM"] / 2 / np.sqrt(2 ** (1 / MOFFAT_BETA) - 1) / 0.3
            expected *= 1 - (1 + (18 / alpha) ** 2) ** (1 - MOFFAT_BETA)
            noise = np.hypot(
                header["SKYSIGMA"] * np.sqrt(near.sum()), np.sqrt(flux / header["GAIN"])
            )
            assert abs(flux - expected) < 4.5 * noise
            core = np.hypot(x - px, y - py) < 5
            total = image[core].sum(dtype=np.float64)
            centroid = np.array([(x * image)[core].sum(), (y * image)[core].sum()]) / total
            assert np.all(np.abs(centroid - (px, py)) < 0.1)
            checked += 1
    assert checked > 12


def test_noise_is_the_stated_one(simulation):
    for path in simulation.tiles:
        with fits.open(path) as hdus:
            image, header, mask = hdus["IMAGE"].data, hdus["IMAGE"].header, hdus["MASK"].data
            rms = hdus["RMS"].data
        sky = (rms < 1.005 * header["SKYSIGMA"]) & (mask == 0)  # nothing but sky here
        assert sky.sum() > 5000
        sigma = np.std(image[sky])
        assert sigma == pytest.approx(header["SKYSIGMA"], rel=5 / np.sqrt(2 * sky.sum()) + 0.003)


def test_masked_region_is_on_the_last_tile_only(simulation):
    for path in simulation.tiles:
        with fits.open(path) as hdus:
            mask, rms = hdus["MASK"].data != 0, hdus["RMS"].data
        assert mask.any() == path.name.startswith("tile01")
        np.testing.assert_array_equal(rms >= 1e15, mask)


def test_same_seed_same_pixels_in_any_number_of_processes(tmp_path):
    one = simulate(tmp_path / "one", seed=5, workers=1, **SMALL)
    two = simulate(tmp_path / "two", seed=5, workers=2, **SMALL)
    other = simulate(tmp_path / "other", seed=6, workers=1, **SMALL)
    for a, b, c in zip(one.tiles, two.tiles, other.tiles, strict=True):
        assert a.read_bytes() == b.read_bytes()
        assert not np.array_equal(fits.getdata(a, "IMAGE"), fits.getdata(c, "IMAGE"))
    assert one.catalog.read_bytes()[2880:5760] == two.catalog.read_bytes()[2880:5760]


def test_a_band_does_not_depend_on_the_others(tmp_path):
    alone = simulate(tmp_path / "alone", seed=5, **SMALL)
    both = simulate(tmp_path / "both", seed=5, **{**SMALL, "bands": ("g", "r")})
    for path in alone.tiles:
        same = next(p for p in both.tiles if p.name == path.name)
        np.testing.assert_array_equal(fits.getdata(path, "IMAGE"), fits.getdata(same, "IMAGE"))


def test_coarse_band_has_larger_pixels_and_the_same_sky(tmp_path):
    made = simulate(
        tmp_path, seed=5, coarse={"z": 1.5}, **{**SMALL, "bands": ("r", "z"), "tile_size": 192}
    )
    r, z = made.tiles[0], made.tiles[1]
    assert (fits.getdata(r, "IMAGE").shape, fits.getdata(z, "IMAGE").shape) == (
        (192,) * 2,
        (128,) * 2,
    )
    corners = [WCS(fits.getheader(path, "IMAGE")).calc_footprint(center=False) for path in (r, z)]
    np.testing.assert_allclose(*corners, atol=1e-8)
    assert isinstance(read_survey(made.survey), Survey)


def test_a_smaller_survey_in_the_same_folder_has_no_tiles_of_the_larger(tmp_path):
    simulate(tmp_path, seed=5, spacing=128, **SMALL)
    made = simulate(tmp_path, seed=6, **{**SMALL, "n_objects": 3})
    assert len(list((tmp_path / "tiles").iterdir())) > 2
    assert read_survey(made.survey).bands[0].image == tuple(str(path) for path in made.tiles)


def test_processes_that_cannot_start_are_explained(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from astrocnn.simulation import simulate\n"
        f"simulate({str(tmp_path / 'out')!r}, n_objects=3, tile_size=128, overlap=0, workers=2)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "call simulate below if __name__ == '__main__'" in done.stderr


def test_euclid_preset_writes_the_zero_points_of_the_mosaics(tmp_path):
    made = simulate(tmp_path, preset="euclid", n_objects=5, tile_size=128, overlap=0)
    with open(made.survey, "rb") as stream:
        assert tomllib.load(stream)["bands"] == ["VIS", "Y", "J", "H"]
    zero_points = {p.stem.split("_")[1]: fits.getheader(p, "IMAGE")["MAGZERO"] for p in made.tiles}
    assert zero_points == {"VIS": 24.6, "Y": 29.8, "J": 30.0, "H": 29.9}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "moon"}, "Unknown `preset`"),
        ({"bands": ("r", "U")}, "Unknown band 'U'"),
        ({"bands": ("r", "r")}, "each once"),
        ({"class_fractions": {"quasar": 1}}, "Unknown class 'quasar'"),
        ({"class_fractions": {"star": -1}}, "fractions"),
        ({"n_objects": 0}, "Invalid simulation parameters"),
        ({"tile_size": 100, "overlap": 100}, "Invalid simulation parameters"),
        ({"seed": -1}, "`seed` must be"),
    ],
)
def test_invalid_arguments_are_refused(tmp_path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        simulate(tmp_path, **arguments)
    assert not list(tmp_path.iterdir())
