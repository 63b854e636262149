"""Which files make a survey: bands with their images, masks, zero points and units.

A `Survey` is a named set of `Band` objects.  It says where the pixels are and what they
mean; it opens no image.  `read_survey` reads one from a TOML file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from astrocnn import plugins
from astrocnn.display import Displayed
from astrocnn.errors import ConfigError, ImageError
from astrocnn.imaging import photometry
from astrocnn.imaging.files import expand_path, replace_band
from astrocnn.plugins import nearest
from astrocnn.stored_files import read_toml

__all__ = ["Band", "Hdu", "PLANES", "RESAMPLINGS", "Survey", "read_survey"]

PLANES = ("image", "weight", "rms", "variance", "mask")
"""What an image of a band may be; all but the first mark pixels without data."""
RESAMPLINGS = ("lanczos3", "bilinear", "nearest")
Hdu = int | str | Mapping[str, Any] | Sequence[int | str] | None


@dataclass(frozen=True)
class Band:
    """One filter: its images, what marks bad pixels, and its flux scale.

    Parameters
    ----------
    name : str
        The band, for instance ``"r"`` or ``"VIS"``.
    image : str or tuple of str
        For tiles a path, a glob pattern or several of them; for stamps a template such as
        ``"cutouts/{id}.fits"``, filled with the columns of the catalogue.  A trailing
        ``[SCI]`` or ``[2]`` names the HDU.
    hdu : int, str or mapping, optional
        HDU number, EXTNAME (``"SCI"`` or ``"SCI,2"``), or header cards that must match, such
        as ``{"BAND": "g", "IMAGETYP": "image"}``.  By default the first image with data; of tiles
        all images, if each lies elsewhere on the sky, as the CCDs of a mosaic.  A list, or a name
        with ``*``, takes several images of each file; tiles only.
    plane : int, optional
        Which plane of a cube, or which channel of a color picture, counted from 0.

    weight, rms, variance, mask : str or tuple of str, optional
        Files of inverse variance (no data where <= 0), of noise (no data where >= 1e15, as
        Euclid marks it, or <= 0), of variance (no data where >= 1e30, or <= 0) and of a mask, one
        for each image; they are paired by their pixel grids.  NaN is no data in all of them.
    weight_hdu, rms_hdu, variance_hdu, mask_hdu : int, str or mapping, optional
        HDUs of these; given alone, they are in the files of the image.
    bad_bits : int, optional
        Mask bits that mean no data.  Without `bad_bits` and `bad_values`: any nonzero value.
    bad_values : tuple of int
        Mask codes that mean no data, for masks that hold codes and not bits.
    valid_range : (float, float), optional
        Pixel values outside it are no data (sentinels such as -3.4e38).
    zero_point : float or str, optional
        AB magnitude of one unit of the image, or the header keyword that holds it.
    unit : str, optional
        Unit of the image, such as ``"nJy"``, ``"nanomaggy"`` or ``"MJy/sr"``; by default that of
        BUNIT in the header, which must not be another one.
    flux_scale : float
        Extra factor on every pixel, applied last.
    """

    name: str
    image: str | tuple[str, ...]
    hdu: Hdu = None
    plane: int | None = None
    weight: str | tuple[str, ...] | None = None
    rms: str | tuple[str, ...] | None = None
    variance: str | tuple[str, ...] | None = None
    mask: str | tuple[str, ...] | None = None
    weight_hdu: Hdu = None
    rms_hdu: Hdu = None
    variance_hdu: Hdu = None
    mask_hdu: Hdu = None
    bad_bits: int | None = None
    bad_values: tuple[int, ...] = ()
    valid_range: tuple[float, float] | None = None
    zero_point: float | str | None = None
    unit: str | None = None
    flux_scale: float = 1.0

    def __post_init__(self) -> None:
        for role in PLANES:
            value = getattr(self, role)
            if value is not None and not isinstance(value, str):
                object.__setattr__(self, role, tuple(str(v) for v in value))
            # An HDU given alone is one of the files of the image.
            if value is None and getattr(self, f"{role}_hdu", None) is not None:
                object.__setattr__(self, role, self.image)
        object.__setattr__(self, "bad_values", tuple(self.bad_values))
        if self.valid_range is not None:
            low, high = self.valid_range
            object.__setattr__(self, "valid_range", (float(low), float(high)))
        # Parsed for its error, which belongs to the survey and not to its first image.
        if self.unit is not None:
            photometry.parse_unit(self.unit)
        # TOML tells 25 from 25.0, astronomers do not.
        if isinstance(self.zero_point, int):
            object.__setattr__(self, "zero_point", float(self.zero_point))

    def choose_unit(self, stated: object, common: str | None, title: str) -> str | None:
        """Choose the unit of the pixels of a file between its header and the survey.

        Parameters
        ----------
        stated : object
            BUNIT of the header; None, or a text that is no unit, says nothing.
        common : str or None
            Unit of the cutouts.
        title : str
            The file, for messages.

        Returns
        -------
        str or None
            What the pixels are in; None where nothing is known, or a zero point or a factor of the
            band says what they mean, whatever the header states.

        Raises
        ------
        ImageError
            If the header contradicts the survey.
        """
        # What a survey states about fluxes is deliberate; headers are copied from file to file.
        if self.zero_point is not None or self.flux_scale != 1 or not isinstance(stated, str):
            return self.unit
        expected = self.unit or common
        scale = photometry.compare_units(stated.strip(), expected or stated.strip())
        if scale is None or scale == 1:
            return self.unit if expected else stated.strip() if scale else None
        # Another unit of the same kind is converted and not refused.
        if self.unit is None and not math.isnan(scale):
            return stated.strip()
        raise ImageError(
            f"The header of {title} states another unit than the survey.",
            received=f"BUNIT = '{stated}'",
            allowed=f"'{expected}', the unit of the {'band' if self.unit else 'survey'}",
            hint="correct the survey; a zero_point or a flux_scale of the band overrides a header",
        )

    def planes(self) -> dict[str, tuple[str | tuple[str, ...], Hdu]]:
        """Return files and HDU of each plane of this band, by its role in `PLANES`."""
        roles: dict[str, tuple[str | tuple[str, ...], Hdu]] = {"image": (self.image, self.hdu)}
        for role in PLANES[1:]:
            if getattr(self, role) is not None:
                roles[role] = (getattr(self, role), getattr(self, f"{role}_hdu"))
        return roles


@dataclass(frozen=True, repr=False)
class Survey(Displayed):
    """A named set of bands.

    Parameters
    ----------
    name : str
        What to call it in tables and reports.
    bands : tuple of Band
        In the order of the channels of a cutout.
    kind : str
        ``"tiles"``, large images cut by sky position; ``"stamps"``, small files, one per object;
        ``"npy"``, ``"hdf5"``, ``"zarr"`` or ``"parquet"``, arrays or columns with the images of all
        objects (`ArrayFileSource`); or another source of images: the name of an installed one,
        ``"module:attribute"`` or ``"path/to/file.py:attribute"`` (see `astrocnn.imaging.Source`).
    unit : str, optional
        Flux unit of all cutouts.  By default nJy when every band has a zero point, and
        otherwise the values as they are in the files.  When no band says what its pixels
        mean, it merely states the unit that they are in.
    reference : str, optional
        Band whose pixel grid the others are brought to; by default the first.  Tiles only.
    pixel_scale : float, optional
        Pixel scale of the cutouts [arcsec].  For tiles it is that of the reference band; if
        it differs from it by more than 1 %, every band is resampled to a north-up tangent
        grid of this scale.  For stamps it is the scale of the files.
    crop : int, optional
        Side of the central part of each stamp that is used [pixel].  Stamps only.
    resampling : {"lanczos3", "bilinear", "nearest"}
        Interpolation of bands on another grid.  Bands with finer pixels than the target are
        averaged over the area of the target pixel whichever is chosen.
    options : mapping of str to object, optional
        For a source of another kind; tiles and stamps have none, arrays ``row`` or ``match``.
    """

    name: str
    bands: tuple[Band, ...]
    kind: str = "tiles"
    unit: str | None = None
    reference: str | None = None
    pixel_scale: float | None = None
    crop: int | None = None
    resampling: str = "lanczos3"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bands", tuple(self.bands))
        names = [band.name for band in self.bands]
        # Collected, so that one look at the message is enough to mend all.
        problems = []
        if not names:
            problems.append("it has no bands")
        if len(set(names)) < len(names):
            problems.append(f"band names repeat: {', '.join(names)}")
        try:
            # Looking through all installed entry points takes 15 ms.
            if self.kind not in plugins.module_names("astrocnn.imaging.sources"):
                plugins.check("sources", self.kind)
        except ConfigError as error:
            problems.append(f"kind: {error.what[0].lower()}{error.what[1:].rstrip('.')}")
        if self.reference is not None and self.reference not in names:
            problems.append(f"reference = '{self.reference}' is not one of its bands")
        if self.resampling not in RESAMPLINGS:
            problems.append(
                f"resampling = '{self.resampling}' is not one of {', '.join(RESAMPLINGS)}"
            )
        for key in ("pixel_scale", "crop"):
            value = getattr(self, key)
            if value is not None and not value > 0:
                problems.append(f"{key} = {value} is not positive")
        # One common unit needs all bands: a band left in counts beside others in nJy is a mistake
        # that no network would report.
        zero_points = [band.zero_point is not None for band in self.bands]
        if self.unit is None and any(zero_points):
            if all(zero_points):
                object.__setattr__(self, "unit", "nJy")
            else:
                problems.append(
                    "some bands have a zero_point and others have none; give it for all, or"
                    " give the survey a unit and the other bands theirs"
                )
        if self.unit is not None:
            photometry.parse_unit(self.unit)
            if any(b.zero_point is not None or b.unit is not None for b in self.bands):
                sentences = (_unit_problem(band, self.unit) for band in self.bands)
                problems += [sentence for sentence in sentences if sentence]
        if problems:
            raise ConfigError(f"The survey '{self.name}' is not usable: {'; '.join(problems)}.")

    def _facts(self) -> dict[str, object]:
        return {
            "name": self.name,
            "kind": self.kind,
            "bands": self.band_names,
            "unit": self.common_unit,
            "reference": self.reference,
        }

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands in the order of the channels."""
        return tuple(band.name for band in self.bands)

    @property
    def reference_index(self) -> int:
        """Channel of the band whose grid is the target."""
        return 0 if self.reference is None else self.band_names.index(self.reference)

    @property
    def common_unit(self) -> str | None:
        """Unit of the cutouts: `unit`, else that of the bands when all agree, else None."""
        if self.unit is not None:
            return self.unit
        units = {band.unit for band in self.bands}
        return units.pop() if len(units) == 1 else None

    def combine_units(self, stated: Iterable[tuple[Band, str | None, str]]) -> str | None:
        """The one unit of all images of a survey that names none; None if some say nothing.

        Bands in different units are wanted where the survey states the unit of each of them.

        Parameters
        ----------
        stated : iterable of (Band, str or None, str)
            For each image its band, its unit, and its name for messages.

        Raises
        ------
        ImageError
            If the units of two images differ.
        """
        images = list(stated)
        known = [(band, unit, title) for band, unit, title in images if unit is not None]
        different = False
        for band, unit, title in known:
            first_band, first, _ = known[0]
            if photometry.compare_units(unit, first) == 1:
                continue
            different = True
            if None in (band.unit, first_band.unit):
                raise ImageError(
                    f"The images of the survey '{self.name}' are in different units.",
                    received=f"{first}, and {unit} in {title}",
                    hint="give the survey a unit, to which all are brought, or each of these bands "
                    "its own to keep the values as they are",
                )
        return known[0][1] if known and not different and len(known) == len(images) else None

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any], root: str | Path = ".") -> Survey:
        """Build a survey from plain values, as they stand in a TOML file.

        Keys of `Band` at the top are defaults for every band; ``bands`` is then a list of
        tables or simply of names.  In all strings ``{band}`` becomes the band's name, and
        ``$NAME`` the environment variable.  Relative paths are relative to `root`.

        Raises
        ------
        ConfigError
            Naming all unknown, missing or unusable keys at once.

        Examples
        --------
        >>> survey = Survey.from_dict({"name": "demo", "image": "tiles/*_{band}.fits",
        ...                            "bands": ["g", "r"]}, root="/data")
        >>> survey.bands[1].image
        '/data/tiles/*_r.fits'
        """
        return _from_dict(cls, mapping, Path(root))


def _unit_problem(band: Band, unit: str) -> str | None:
    """Why a band cannot be brought to a unit, as a clause; None if it can."""
    if band.flux_scale == 0:
        return f"band '{band.name}' has flux_scale 0"
    if band.zero_point is None and band.unit is None:
        if band.flux_scale == 1.0:
            return (
                f"band '{band.name}' needs a zero_point, a unit or a flux_scale to be brought "
                f"to {unit}"
            )
        return None
    try:
        # Any magnitude and any area will do: only the kind of the units is looked at.
        magnitude = 25.0 if band.zero_point is not None else None
        photometry.compute_factor(unit, band.unit, magnitude, pixel_area=1e-12)
    except (ValueError, ConfigError) as error:
        return f"band '{band.name}' cannot be brought to {unit} ({error})"
    return None


def read_survey(path: str | Path) -> Survey:
    """Read a survey from a TOML file; its relative paths are relative to that file.

    Parameters
    ----------
    path : path-like
        For instance ``surveys/euclid.toml``; ``$NAME`` in its paths is expanded.

    Raises
    ------
    ConfigError
        If there is no such file, or it is not TOML, or not a survey.
    """
    path = Path(path)
    mapping = read_toml(path)
    mapping = mapping.get("survey", mapping)
    if not isinstance(mapping, Mapping):
        raise ConfigError(
            f"{path} is not a survey file.",
            received=f"survey = {mapping!r}",
            hint="if it is a run file, give the file that it names under survey",
        )
    return Survey.from_dict({"name": path.stem, **mapping}, path.parent)


def _from_dict(cls: type[Survey], mapping: Mapping[str, Any], root: Path) -> Survey:
    band_keys = {f.name for f in fields(Band)}
    own_keys = {f.name for f in fields(cls)}
    # `unit` of the survey is the common unit of the cutouts, not a default for its bands.
    defaults = {k: v for k, v in mapping.items() if k in band_keys - own_keys}
    problems = [
        _unknown(key, "survey", band_keys | own_keys)
        for key in mapping
        if key not in band_keys | own_keys
    ]
    listed = mapping.get("bands", ())
    # Tables such as [bands.g] keep their order in TOML, and with it that of the channels.
    if isinstance(listed, Mapping):
        listed = [{"name": name, **table} for name, table in listed.items()]
    if not isinstance(listed, (list, tuple)):
        raise ConfigError("'bands' of a survey is a list of names or of tables.", received=listed)
    bands: list[Band] = []
    for item in listed:
        if not isinstance(item, (str, Mapping)):
            raise ConfigError("A band of a survey is a name or a table.", received=repr(item))
        table = {"name": item} if isinstance(item, str) else dict(item)
        table = {**defaults, **table}
        name = table.get("name")
        problems += [_unknown(k, f"band '{name}'", band_keys) for k in table if k not in band_keys]
        missing = [k for k in ("name", "image") if k not in table]
        if missing:
            problems.append(f"band '{name}' has no '{missing[0]}'")
        problems += _mistyped(table, Band, f"band '{name}'")
        # A band with a wrong value would raise at once, and hide the problems of the others.
        if not missing and not problems:
            bands.append(Band(**_resolved(replace_band(table, str(name)), root)))
    own = {k: v for k, v in mapping.items() if k in own_keys and k != "bands"}
    problems += _mistyped(own, cls, "survey")
    if problems:
        raise ConfigError(
            f"The survey '{mapping.get('name', '')}' is not usable: {'; '.join(problems)}."
        )
    if plugins.is_outside(str(own.get("kind", ""))):
        own["kind"] = _resolve_leaf(own["kind"], root)
    return cls(**{"name": "survey", **own, "bands": tuple(bands)})


def _resolve_leaf(kind: str, root: Path) -> str:
    """A source in a file, with its path relative to that of the survey."""
    place, colon, attribute = kind.rpartition(":") if ":" in kind else (kind, "", "")
    return expand_path(place, root) + colon + attribute if place.endswith(".py") else kind


def _resolved(table: dict[str, Any], root: Path) -> dict[str, Any]:
    for role in PLANES:
        value = table.get(role)
        if isinstance(value, str):
            table[role] = expand_path(value, root)
        elif value is not None:
            table[role] = tuple(expand_path(str(v), root) for v in value)
    return table


def _mistyped(values: Mapping[str, Any], cls: type, location: str) -> list[str]:
    """Problems of values that are not of the types of the fields of a class."""
    problems = []
    validators = _validators(cls)
    for key in values.keys() & validators.keys():
        try:
            # As JSON, in which lists are tuples, but numbers in quotes are no numbers.
            validators[key].validate_json(json.dumps(values[key], default=repr), strict=True)
        except ValidationError as error:
            reason = error.errors()[0]["msg"].lower()
            problems.append(f"{location}: {key} = {values[key]!r}: {reason}")
    # The keys are a set, whose order differs from run to run.
    return sorted(problems)


@cache
def _validators(cls: type) -> dict[str, TypeAdapter[Any]]:
    return {name: TypeAdapter(hint) for name, hint in get_type_hints(cls).items()}


def _unknown(key: str, location: str, allowed: set[str]) -> str:
    hint = nearest(key, allowed)
    return f"{location} has an unknown key '{key}'" + (f" ({hint})" if hint else "")
