"""The survey files of `pipelines/surveys`: all are read, and fit files of their form."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from astrocnn.imaging import open_source, photometry, read_survey

FOLDER = Path(__file__).parents[2] / "pipelines" / "surveys"
ALL = sorted(FOLDER.glob("*.toml"))
UNTRIED = [path for path in ALL if "not run on the real service" in path.read_text()]
FILL = {"image": None, "weight": 1, "rms": 1, "mask": 0}


def set_root(path: Path, root: str, monkeypatch) -> None:
    for name in set(re.findall(r"\$(\w+)/", path.read_text())):
        monkeypatch.setenv(name, root)


def write_files(survey, folder: Path, header: fits.Header) -> dict[str, np.ndarray]:
    """Files of a survey: one tile, with the extensions, cards and names that it asks for."""
    rng = np.random.default_rng(0)
    files: dict[Path, dict[int | str, np.ndarray]] = {}
    images, cards = {}, {}
    for band in survey.bands:
        for role, (pattern, hdu) in band.planes().items():
            name = re.sub(r"\[(\w)\w\]", r"\1", pattern.replace("**", "x")).replace("*", "x")
            assert fnmatch.fnmatch(name, pattern)
            data = rng.normal(1, 0.1, (40, 40)).astype(np.float32)
            if FILL[role] is not None:
                data = np.full((40, 40), FILL[role], np.int32)
            else:
                images[band.name] = data
            units = files.setdefault(Path(name), {})
            units["SCI" if hdu is None else hdu] = data
        if isinstance(band.zero_point, str):
            cards[band.zero_point] = 24.5
    for path, units in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        hdus = [fits.PrimaryHDU()]
        for key, data in units.items():
            name = key if isinstance(key, str) else None
            hdus.append(fits.ImageHDU(data, header, name=name))
            hdus[-1].header.update(cards)
        if 0 in units:
            hdus = [fits.PrimaryHDU(units[0], header)]
        fits.HDUList(hdus).writeto(path)
    return images


@pytest.mark.parametrize("path", ALL, ids=lambda p: p.stem)
def test_all_are_read(path, monkeypatch):
    set_root(path, "s3://bucket/folder", monkeypatch)
    survey = read_survey(path) if "archive" not in path.read_text() else None
    assert survey is None or all(band.image for band in survey.bands)
    assert path.read_text().startswith("# "), "says what it is"


@pytest.mark.parametrize("path", UNTRIED, ids=lambda p: p.stem)
def test_images_of_the_described_form(path, tmp_path, monkeypatch, make_wcs):
    set_root(path, str(tmp_path), monkeypatch)
    survey = read_survey(path)
    images = write_files(survey, tmp_path, make_wcs(shape=(40, 40)).to_header())
    source = open_source(survey, [150.0], [2.0], size=8)
    cutouts = source.read([0])
    assert cutouts.flags.tolist() == [0]
    for k, band in enumerate(survey.bands):
        zero = 24.5 if isinstance(band.zero_point, str) else band.zero_point
        area = np.radians(1 / 3600) ** 2
        factor = photometry.compute_factor(survey.unit, band.unit, zero, area)
        ratio = cutouts.images[0, :, :, k] / images[band.name][16:24, 16:24]
        np.testing.assert_allclose(ratio, factor, rtol=1e-5)


def test_there_are_files_that_were_run():
    assert len(UNTRIED) == 11 and len(ALL) - len(UNTRIED) >= 5
