"""Stamps of the objects of a catalogue by the Virtual Observatory, as a survey that astrocnn reads.

With --sia the images of each object and band are found by SIA 2 and cut by SODA, where the service
offers it (pyvo); with --hips they are resampled from a HiPS by hips2fits of the CDS (astroquery).
Files that are there are kept: after an interruption give the same command again.

    python pipelines/vo_stamps.py objects.csv stamps --side 20 \\
        --sia https://archive.example.org/sia2 --bands g=4.8e-7 r=6.2e-7
    python pipelines/vo_stamps.py objects.csv stamps --side 20 --pixels 64 \\
        --hips g=CDS/P/DES-DR2/g r=CDS/P/DES-DR2/r
    astrocnn show stamps/survey.toml --catalog objects.csv

References
----------
SIA 2.0 (Dowler et al. 2015), SODA 1.0 (Bonnarel et al. 2017), DataLink 1.1 (Bonnarel et al. 2023),
IVOA recommendations; HiPS 1.0 (Fernique et al. 2017).
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import Angle, Latitude, Longitude, SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales

from astrocnn.atomic import write_bytes, write_text
from astrocnn.catalog import read_catalog

AT_ONCE = 8
LIMIT = 64 << 20
"""Largest answer [byte]: an archive without SODA sends whole images."""

Fetch = Callable[[float, float], "bytes | None"]


def fetch_by_soda(service: object, wavelength: float, side: float, ra: float, dec: float):
    """The best calibrated image of a position at a wavelength [m], cut; None without one."""
    from pyvo.dal import DALServiceError

    # In degrees and metres, by default.
    found = service.search(pos=(ra, dec, 3e-5), band=wavelength, data_type="image")
    if not len(found):
        return None
    here = SkyCoord(ra, dec, unit="deg")
    centers = SkyCoord([r["s_ra"] for r in found], [r["s_dec"] for r in found], unit="deg")
    levels = [-int(r["calib_level"]) for r in found]
    best = found[int(np.lexsort([centers.separation(here).deg, levels])[0])]
    try:
        links = list(best.getdatalink())
    except DALServiceError:
        links = []
    cuts = [link for link in links if link.semantics == "#cutout" and link.service_def]
    wholes = [link for link in links if link.semantics == "#this" and link.access_url]
    if cuts:
        # The square lies within the circle, with pixels to spare.
        stream = cuts[0].process(circle=[ra, dec, side / 3600] * u.deg)
    else:
        stream = (wholes[0] if wholes else best).getdataset()
    data = stream.read(LIMIT + 1)
    if len(data) > LIMIT:
        raise ValueError(f"the archive sends more than {LIMIT} bytes")
    return cut(data, side, ra, dec)


def cut(data: bytes, side: float, ra: float, dec: float) -> bytes:
    """The square about a position, of the first image of a file; NaN beyond its edges."""
    with fits.open(io.BytesIO(data)) as hdus:
        image = next(hdu for hdu in hdus if hdu.is_image and hdu.shape)
        header, wcs = image.header.copy(), WCS(image.header).celestial
        n = max(1, round(side / 3600 / np.mean(proj_plane_pixel_scales(wcs))))
        pixels = np.squeeze(image.data).astype(np.float32)
        here = SkyCoord(ra, dec, unit="deg")
        part = Cutout2D(pixels, here, n, wcs=wcs, mode="partial", fill_value=np.nan)
    header.update(part.wcs.to_header(relax=True))
    content = io.BytesIO()
    fits.PrimaryHDU(part.data, header).writeto(content)
    return content.getvalue()


def fetch_by_hips(hips: str, pixels: int, side: float, ra: float, dec: float) -> bytes:
    """A stamp of a HiPS, resampled on a tangential plane about a position."""
    from astroquery.hips2fits import hips2fits

    hdus = hips2fits.query(
        hips=hips, width=pixels, height=pixels, projection="TAN", format="fits",
        ra=Longitude(ra * u.deg), dec=Latitude(dec * u.deg), fov=Angle(side * u.arcsec),
    )  # fmt: skip
    content = io.BytesIO()
    hdus.writeto(content)
    return content.getvalue()


def fetch_stamp(fetch: Fetch, path: Path, ra: float, dec: float) -> str | None:
    """Write one stamp, unless it is there; what went wrong."""
    if path.exists():
        return None
    try:
        data = fetch(ra, dec)
        if data is None:
            return None
        write_bytes(path, data)
    except Exception as error:  # services fail in many ways; other objects may be well
        return f"{path.name}: {type(error).__name__}: {error}"[:300]
    return None


def write_survey(folder: Path, bands: list[str]) -> None:
    """Describe the stamps, with the pixel scale of the first one."""
    first = next(iter(sorted(folder.glob("*.fits"))))
    with fits.open(first) as hdus:
        header = next(hdu.header for hdu in hdus if hdu.is_image and hdu.shape)
    scale = float(np.mean(proj_plane_pixel_scales(WCS(header).celestial))) * 3600
    lines = [
        f'name = "{folder.name}"', 'kind = "stamps"', f"pixel_scale = {scale:.6g}",
        'image = "{id}_{band}.fits"',
        f"bands = {bands}".replace("'", '"'),
    ]  # fmt: skip
    write_text(folder / "survey.toml", "\n".join(lines) + "\n")


def main(words: list[str] | None = None) -> int:
    """Run the command line; 1 if some stamps failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("catalog", help="with id, ra and dec")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=float, required=True, help="of the stamps [arcsec]")
    parser.add_argument("--sia", help="address of a service of SIA 2")
    parser.add_argument("--bands", nargs="+", default=[], help="NAME=WAVELENGTH [m]")
    parser.add_argument("--hips", nargs="+", default=[], help="NAME=HIPS")
    parser.add_argument("--pixels", type=int, default=64, help="of a stamp from a HiPS")
    options = parser.parse_args(words)
    pairs = dict(pair.split("=", 1) for pair in options.bands or options.hips)
    fetches: dict[str, Fetch] = {}
    if options.sia:
        import pyvo

        service = pyvo.dal.SIA2Service(options.sia)
        for band, length in pairs.items():
            fetches[band] = partial(fetch_by_soda, service, float(length), options.side)
    else:
        for band, hips in pairs.items():
            fetches[band] = partial(fetch_by_hips, hips, options.pixels, options.side)
    if not fetches:
        parser.error("give --sia and --bands, or --hips")
    catalog = read_catalog(options.catalog)
    ids = [str(one) for one in catalog.ids]
    if odd := [one for one in ids if not re.fullmatch(r"[\w.+-]+", one)]:
        parser.error(f"the identifier {odd[0]!r} cannot be a file name")
    jobs = [
        (fetch, options.folder / f"{one}_{band}.fits", float(ra), float(dec))
        for one, ra, dec in zip(ids, catalog.ra, catalog.dec, strict=True)
        for band, fetch in fetches.items()
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        failures = [text for text in pool.map(fetch_stamp, *zip(*jobs, strict=True)) if text]
    print(*failures, sep="\n", file=sys.stderr)
    there = sum(path.exists() for _, path, _, _ in jobs)
    absent = len(jobs) - there - len(failures)
    print(f"{there} stamps, {len(failures)} failures, {absent} without an image")
    if there:
        write_survey(options.folder, list(fetches))
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
