"""Role and band of each image in FITS files, from header cards, names of HDUs and of files."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrocnn.header_units import HeaderUnit
from astrocnn.imaging.planes import find_images
from astrocnn.imaging.survey import PLANES

__all__ = [
    "PICTURES",
    "SUFFIXES",
    "ImagePlane",
    "group_planes",
    "list_planes",
    "select_hdu",
    "sort_bands",
    "split_words",
]

PICTURES = (".jpg", ".jpeg", ".png")
SUFFIXES = (".fits", ".fit", ".fts", ".fits.fz", ".fits.gz", ".fit.gz", ".fits.bz2", *PICTURES)

# Words in names of files and HDUs, and in the card IMAGETYP.
_ROLES = {
    "image": {"image", "img", "sci", "science", "sciimg", "flux", "ooi", "drz", "drc", "frame"},
    "weight": {"weight", "wht", "wgt", "wt", "invvar", "ivar", "oow"},
    "rms": {"rms", "err", "error", "noise", "sigma", "std", "unc", "uncertainty"},
    "variance": {"variance", "var"},
    "mask": {"mask", "maskbits", "msk", "mskimg", "flag", "flg", "dq", "dqm", "ood", "bad"},
    "other": {"psf", "copsf", "nexp", "exp", "exptime", "model", "residual", "chi2", "depth"}
    | {"galdepth", "psfdepth", "psfsize", "segm", "segmentation", "bkg", "background", "cov"}
    | {"ctx", "catalog", "thumbnail", "preview"},
}
_NOISE = ("weight", "rms", "variance")
_BAND_CARDS = ("BAND", "FILTER", "FILTNAM", "FILTNAME", "FILTERS", "FILTER1")
_WAVELENGTHS = ("FUV", "NUV", *"ug", "VIS", *"rizyYJHK", "Ks", "W1", "W2", "W3", "W4")
_KNOWN_BANDS = {band.lower(): band for band in reversed(_WAVELENGTHS)}
_MOST_LETTERS = 12


@dataclass(frozen=True)
class ImagePlane:
    """One image in a FITS file.

    Parameters
    ----------
    path : Path
        The file.
    unit : HeaderUnit
        Its header.
    n_images : int
        Number of images in the file.
    role : str
        One of `astrocnn.imaging.survey.PLANES`, or ``"other"``.
    named : bool
        Whether the role stands somewhere; an image whose role does not is taken for one.
    band : str or None
        Name of the filter.
    source : str
        Where the band was found.
    primary : HeaderUnit
        First header of the file.
    """

    path: Path
    unit: HeaderUnit
    n_images: int
    role: str
    named: bool
    band: str | None
    source: str
    primary: HeaderUnit

    def card(self, key: str) -> object:
        """Value of a header card of the image, else of the first header."""
        value = self.unit.value(key)
        return self.primary.value(key) if value is None else value

    @property
    def on_sky(self) -> bool:
        """Whether it has celestial coordinates."""
        return str(self.unit.value("CTYPE1") or "")[:4] in ("RA--", "DEC-", "GLON", "GLAT")


def list_planes(path: Path) -> list[ImagePlane]:
    """The images of a FITS file, from its headers alone.

    Raises
    ------
    ImageError
        If it is not FITS.
    """
    primary, units = find_images(path)
    planes = []
    for unit in units:
        role, named = _find_role(unit, path)
        band, source = _find_band(unit, primary, path)
        planes.append(ImagePlane(path, unit, len(units), role, named, band, source, primary))
    return planes


def group_planes(
    planes: Sequence[ImagePlane],
) -> tuple[dict[str, dict[str, list[ImagePlane]]], list[ImagePlane]]:
    """Planes by band and role, and those that are not used."""
    named = any(plane.role == "image" and plane.named for plane in planes)
    groups: dict[str, dict[str, list[ImagePlane]]] = defaultdict(lambda: defaultdict(list))
    unused, shared = [], []
    for plane in planes:
        if plane.role == "other" or (plane.role == "image" and named and not plane.named):
            unused.append(plane)
        elif plane.role != "image" and plane.band is None:
            shared.append(plane)
        else:
            groups[plane.band or "image"][plane.role].append(plane)
    images = {band: roles for band, roles in groups.items() if "image" in roles}
    for band, roles in groups.items():
        if band in images:
            continue
        # Names of HDUs are often in capitals where cards are not.
        same = [other for other in images if other.lower() == band.lower()]
        for role, found in roles.items():
            (images[same[0]][role] if len(same) == 1 else unused).extend(found)
    for plane in shared:
        # One mask serves all bands of its size; the band of a weight is not known.
        alike = [
            roles
            for roles in images.values()
            if any(image.unit.shape == plane.unit.shape for image in roles["image"])
        ]
        if alike and (plane.role == "mask" or len(images) == 1):
            for roles in alike:
                roles[plane.role].append(plane)
        else:
            unused.append(plane)
    ordered = {
        band: {role: roles[role] for role in PLANES if roles.get(role)}
        for band, roles in images.items()
    }
    for roles in ordered.values():
        # They say the same: one is enough.
        for role in [role for role in _NOISE if role in roles][1:]:
            unused += roles.pop(role)
    return ordered, unused


def select_hdu(found: Sequence[ImagePlane], planes: Sequence[ImagePlane]) -> Any:
    """How to select planes within their files; None where the default finds them."""
    if all(plane.n_images == 1 for plane in found):
        return None
    chosen = {(plane.path, plane.unit.index) for plane in found}
    paths = {plane.path for plane in found}
    inside = [plane for plane in planes if plane.path in paths]
    per_file = Counter(plane.path for plane in found)
    if len(inside) == len(found):  # a mosaic of CCDs
        return "*" if all(plane.unit.name for plane in found) else None

    def selects(matches: list[ImagePlane]) -> bool:
        return {(plane.path, plane.unit.index) for plane in matches} == chosen

    first = found[0]
    if max(per_file.values()) == 1:
        if first.unit.name and selects([p for p in inside if p.unit.name == first.unit.name]):
            return first.unit.name
        cards = {
            key: value
            for key in ("BAND", "FILTER", "IMAGETYP", "EXTNAME")
            if (value := first.unit.value(key)) is not None
        }
        if cards and selects(
            [p for p in inside if all(p.unit.value(k) == v for k, v in cards.items())]
        ):
            return cards
    numbers = sorted({plane.unit.index for plane in found})
    return numbers[0] if len(numbers) == 1 else numbers


def sort_bands(names: Iterable[str]) -> list[str]:
    """Names of bands by wavelength; unknown ones last, by name."""
    order = {band.lower(): at for at, band in enumerate(_WAVELENGTHS)}

    def key(name: str) -> tuple[int, str]:
        words = [name.lower(), *map(str.lower, reversed(split_words(name)))]
        return min((order[word] for word in words if word in order), default=len(order)), name

    return sorted(names, key=key)


def split_words(name: str) -> list[str]:
    """Words of a file or HDU name.

    >>> split_words("c4d_150110-ooi_z.S4.fits")
    ['c4d', '150110', 'ooi', 'z', 'S4', 'fits']
    """
    return [word for word in re.split(r"[^A-Za-z0-9+]+", name) if word]


def _find_role(unit: HeaderUnit, path: Path) -> tuple[str, bool]:
    texts = (unit.name, str(unit.value("IMAGETYP") or ""), path.name, path.parent.name)
    named = []
    for text in texts:
        words = [word.lower() for word in split_words(text)]
        words += [word.removesuffix("s") for word in words]
        # "image" goes last: 'image-invvar' is a weight.
        named += [role for role in reversed(_ROLES) if _ROLES[role].intersection(words)][:1]
    # A PSF may be marked as an image within its file.
    return ("other" if "other" in named[:3] else named[0], True) if named else ("image", False)


def _find_band(unit: HeaderUnit, primary: HeaderUnit, path: Path) -> tuple[str | None, str]:
    for key in _BAND_CARDS:
        for header in (unit, primary):
            words = str(header.value(key) or "").replace(",", " ").split()
            # Numbers count the filters of an instrument.
            name = words[0] if words else ""
            named = name and len(name) <= _MOST_LETTERS and not name.isdigit()
            if named and name.lower() not in ("none", "n/a", "clear"):
                return name, key
    known_roles = set().union(*_ROLES.values())
    # unit.name is in capitals.
    title = str(unit.value("EXTNAME") or "")
    words = [word for word in split_words(title) if word.lower() not in known_roles]
    if words and len(words) < len(split_words(title)):
        return "_".join(words), "EXTNAME"
    # The last words of a file name, or its folder, name the band more often than the first ones.
    for text, source in ((path.name, "file name"), (path.parent.name, "folder")):
        for word in reversed(split_words(text)):
            # 'w1' and 'W1', but not 'I' and 'i': capitals are near-infrared bands.
            band = word if word in _WAVELENGTHS else _KNOWN_BANDS.get(word.lower())
            if band is not None and (len(word) > 1 or word in _WAVELENGTHS):
                return band, source
            if re.fullmatch(r"[Ff]\d{3,4}[WwMmNn]", word):
                return word.upper(), source
    return None, ""
