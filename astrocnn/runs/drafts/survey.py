"""A draft of a survey file: which of the files that are there make which band."""

from __future__ import annotations

import glob
import itertools
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from astrocnn.errors import ConfigError, ImageError
from astrocnn.imaging.files import FileTemplate
from astrocnn.imaging.photometry import compare_units
from astrocnn.runs.drafts.image_planes import (
    PICTURES,
    SUFFIXES,
    ImagePlane,
    list_planes,
    sort_bands,
    split_words,
)

__all__ = ["SurveyDraft", "draft_stamps", "draft_tiles", "list_images", "quote"]

MAX_FILES = 100_000
_MAX_HEADERS = 2000
_TRIED = 50
_MAX_LISTED = 30
_SIDE = 64
_ROLES = ("image", "weight", "rms", "mask")
_PLURALS = {"image": "images", "weight": "weights", "rms": "rms images", "mask": "masks"}
_ZERO_POINTS = ("MAGZERO", "MAGZPT", "MAGZP", "ZP_STACK", "PHOTZP", "ZPAB", "ABZP", "ZEROPNT", "ZP")


@dataclass
class SurveyDraft:
    """Text of a survey file, and what goes into the run file with it.

    Parameters
    ----------
    kind : str
        ``"tiles"`` or ``"stamps"``.
    bands : list of (str, dict)
        Name and keys of each band.
    common : dict
        Keys of the survey.
    size : int
        Side of the cutouts [pixel].
    stretch : str or None
        Of the normalization, where the default does not suit.
    notes : list of str
        What was assumed, and what was not found.
    """

    kind: str
    bands: list[tuple[str, dict[str, Any]]]
    common: dict[str, Any] = field(default_factory=dict)
    size: int = _SIDE
    stretch: str | None = None
    notes: list[str] = field(default_factory=list)

    def format(self, name: str) -> str:
        """The survey file, with the notes as comments."""
        lines = ["# Drafted from the files that are there. Check what was assumed:"]
        lines += [f"#   {note}" for note in self.notes]
        lines += ["", f"name = {quote(name)}", f"kind = {quote(self.kind)}"]
        # What all bands have in common stands once.
        _, first = self.bands[0]
        alike = {k: v for k, v in first.items() if all(keys.get(k) == v for _, keys in self.bands)}
        for key, value in {**self.common, **alike}.items():
            lines.append(f"{key} = {_format_value(value)}")
        own = [(b, {k: v for k, v in keys.items() if k not in alike}) for b, keys in self.bands]
        if not any(keys for _, keys in own):
            return "\n".join([*lines, f"bands = {quote([band for band, _ in own])}", ""])
        for band, keys in own:
            lines += ["", "[[bands]]", f"name = {quote(band)}"]
            lines += [f"{key} = {_format_value(value)}" for key, value in keys.items()]
        return "\n".join([*lines, ""])


def quote(value: object) -> str:
    """A string, number or list in TOML, which writes them as JSON does."""
    return json.dumps(value, ensure_ascii=False)


def _format_value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {quote(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list) and len(value) > 1:
        return "[\n" + "".join(f"  {quote(item)},\n" for item in value) + "]"
    return quote(value)


def list_images(paths: Iterable[Path]) -> list[Path]:
    """List the image files among paths, and in folders among them.

    Raises
    ------
    ConfigError
        If a path does not exist, or there is no image.
    """
    found: list[Path] = []
    paths = list(paths)
    for path in paths:
        if not path.exists():
            raise ConfigError(
                f"There is no file or folder {path}.",
                hint="give files, or the folder that holds them",
            )
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        names = (item for item in inside if item.name.lower().endswith(SUFFIXES))
        found += itertools.islice(names, MAX_FILES - len(found))
    if not found:
        raise ConfigError(
            "There are no images.",
            received=[str(path) for path in paths],
            allowed=f"files that end in {', '.join(SUFFIXES)}, or folders that hold some",
        )
    return [Path(os.path.abspath(path)) for path in found]


# ------------------------------------------------------------------------------ one file per object


def draft_stamps(
    columns: Mapping[str, Sequence[object]], files: Sequence[Path], folder: Path
) -> SurveyDraft | None:
    """A survey of stamps, if a column of the catalogue names the files, or is part of their names.

    Parameters
    ----------
    columns : mapping of str to sequence
        The catalogue; some dozens of its rows are enough.
    files : sequence of Path
        Image files; may be empty if a column holds their paths.
    folder : Path
        That of the catalogue, from which relative paths in it may count.

    Returns
    -------
    SurveyDraft or None
    """
    best: tuple[int, str] = (0, "")
    for template in itertools.chain(
        _templates_of_paths(columns, files, folder), _templates_of_names(columns, files)
    ):
        count = sum(os.path.isfile(path) for path in _fill(template, columns))
        # The first one wins: a column of paths is meant for this.
        best = max(best, (count, template), key=lambda item: item[0])
    count, template = best
    if not count:
        return None
    n_rows = len(_fill(template, columns))
    present = [Path(path) for path in _fill(template, columns) if os.path.isfile(path)]
    notes = [f"one file for each object: {count} of the {n_rows} names tried exist"]
    if present[0].suffix.lower() in PICTURES:
        return _draft_pictures(template, present, notes)
    return _draft_fits_stamps(template, present, notes, columns)


def _fill(template: str, columns: Mapping[str, Sequence[object]]) -> list[str]:
    name = FileTemplate(template)
    n_rows = min(_TRIED, len(next(iter(columns.values()), ())))
    rows = ({key: columns[key][i] for key in name.names} for i in range(n_rows))
    return [name.fill(row) for row in rows]


def _templates_of_paths(
    columns: Mapping[str, Sequence[object]], files: Sequence[Path], folder: Path
) -> Iterator[str]:
    """Columns whose values are paths, absolute or below a folder that is known."""
    folders = dict.fromkeys([folder, *(parent for file in files[:1] for parent in file.parents)])
    for name, values in columns.items():
        if any(str(value).lower().endswith(SUFFIXES) for value in values[:_TRIED]):
            if os.path.isabs(str(values[0])):
                yield f"{{{name}}}"
            yield from (os.path.join(_escape(str(parent)), f"{{{name}}}") for parent in folders)


def _templates_of_names(
    columns: Mapping[str, Sequence[object]], files: Sequence[Path]
) -> Iterator[str]:
    """File names in which the value of a column stands between other words."""
    names = [str(file) for file in files]
    for column, values in columns.items():
        seen = [str(value) for value in values[:_TRIED]]
        # A column that repeats names no single object.
        if len(set(seen)) < len(seen) or min(map(len, seen), default=0) == 0:
            continue
        for value in seen[:5]:
            word = re.compile(rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])")
            for name in names:
                if value in name and word.search(os.path.basename(name)):
                    head, tail = os.path.split(name)
                    pattern = word.sub("\0", tail, count=1)
                    place = _escape(pattern).replace("\0", f"{{{column}}}")
                    yield os.path.join(_escape(word.sub("\0", head)), place).replace(
                        "\0", f"{{{column}}}"
                    )


def _escape(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _draft_pictures(template: str, present: list[Path], notes: list[str]) -> SurveyDraft:
    sizes, modes = set(), set()
    for path in present:
        try:
            with Image.open(path) as picture:
                sizes.add(min(picture.size))
                modes.add(len(picture.getbands()))
        # Damaged ones are for 'check'.
        except (OSError, ValueError, Image.DecompressionBombError):
            continue
    if max(modes, default=1) >= 3:
        bands: list[tuple[str, dict[str, Any]]] = [
            ("blue", {"plane": 2}),
            ("green", {"plane": 1}),
            ("red", {"plane": 0}),
        ]
        notes.append("color pictures: channels 2, 1, 0 as blue, green, red")
    else:
        bands = [("gray", {"plane": 0})]
    notes.append("pictures are stretched for display already: stretch = 'linear' in the run file")
    draft = SurveyDraft("stamps", bands, {"image": template}, stretch="linear", notes=notes)
    _choose_side(draft, sizes)
    return draft


def _draft_fits_stamps(
    template: str, present: list[Path], notes: list[str], columns: Mapping[str, Sequence[object]]
) -> SurveyDraft:
    planes = list_planes(present[0])
    if not planes:
        raise ImageError(f"The file {present[0]} holds no image.")
    shape = planes[0].unit.shape
    draft = SurveyDraft("stamps", [], {"image": template}, notes=notes)
    siblings = _sibling_templates(template, planes[0], columns)
    if len(shape) == 3:
        n_planes = min(shape)
        draft.bands = [(f"band{i}", {"plane": i}) for i in range(n_planes)]
        notes.append(f"cubes of {n_planes} planes: give the bands their names")
    elif len(siblings) > 1:
        del draft.common["image"]
        draft.bands = [(band, {"image": text}) for band, text in siblings.items()]
        notes.append(f"a file for each object and band: {', '.join(siblings)}")
    else:
        groups, unused = _group(planes)
        for band in sort_bands(groups):
            keys: dict[str, Any] = {}
            for role, found in groups[band].items():
                hdu = None if len(planes) == 1 else _select_hdu(found, planes)
                if hdu is not None:
                    keys["hdu" if role == "image" else f"{role}_hdu"] = hdu
            draft.bands.append((band, keys))
        _describe_bands(draft, groups, unused)
    _choose_side(draft, {min(s for s in shape if s > 1)} if max(shape) > 1 else set())
    if not planes[0].on_sky:
        notes.append("no coordinates in the files: give pixel_scale [arcsec] if you know it")
    return draft


def _sibling_templates(
    template: str, first: ImagePlane, columns: Mapping[str, Sequence[object]]
) -> dict[str, str]:
    """Templates of other bands, where the last word of the name is a band."""
    band = first.band
    if band is None or first.source != "file name":
        return {}
    found = {}
    for other in sort_bands({"u", "g", "r", "i", "z", "y", "Y", "J", "H", "K", band}):
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(band)}(?![A-Za-z0-9])(?!.*/)", other, template)
        if any(os.path.isfile(path) for path in _fill(text, columns)):
            found[other] = text
    return found


def _choose_side(draft: SurveyDraft, sizes: set[int]) -> None:
    if not sizes:
        return
    side = min(sizes)
    if len(sizes) == 1 and side <= 1.5 * _SIDE:
        draft.size = side
        return
    draft.common["crop"] = side
    draft.notes.append(
        f"crop = {side}, the whole of {'the smallest' if len(sizes) > 1 else 'each'} file, "
        f"averaged to {draft.size} pixels: make it smaller if the objects do not fill the images"
    )


# ------------------------------------------------------------------------------ large images


def draft_tiles(files: Sequence[Path]) -> SurveyDraft:
    """A survey of large images, cut by sky position.

    Raises
    ------
    ConfigError
        If no file has celestial coordinates.
    """
    planes: list[ImagePlane] = []
    unreadable = []
    for path in files[:_MAX_HEADERS]:
        try:
            planes += [] if path.suffix.lower() in PICTURES else list_planes(path)
        except ImageError as error:
            unreadable.append(error.what)
    groups, unused = _group(planes)
    if not any(plane.on_sky for roles in groups.values() for plane in roles["image"]):
        raise ConfigError(
            "The images can be matched with the catalogue neither by name nor by position.",
            received=f"{len(files)} files such as {files[0].name}, without coordinates",
            allowed="images with a WCS, or file names that hold the value of a column",
            hint="add a column of file names to the catalogue and name it with --catalog",
        )
    draft = SurveyDraft("tiles", [])
    for band in sort_bands(groups):
        keys: dict[str, Any] = {}
        for role, found in groups[band].items():
            keys[role] = _name_files({plane.path for plane in found}, files)
            hdu = _select_hdu(found, planes)
            if hdu is not None:
                keys["hdu" if role == "image" else f"{role}_hdu"] = hdu
        draft.bands.append((band, keys))
    _describe_bands(draft, groups, unused)
    _add_zero_points(draft, groups)
    if len(files) > _MAX_HEADERS:
        draft.notes.append(f"looked at the first {_MAX_HEADERS} of {len(files)} files only")
    draft.notes += [f"not read: {message}" for message in unreadable[:3]]
    return draft


def _group(
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
        alike = [other for other in images if other.lower() == band.lower()]
        for role, found in roles.items():
            (images[alike[0]][role] if len(alike) == 1 else unused).extend(found)
    for plane in shared:
        # One mask serves all bands; whose a weight is cannot be told.
        if plane.role == "mask" or len(images) == 1:
            for roles in images.values():
                roles[plane.role].append(plane)
        else:
            unused.append(plane)
    ordered = {
        band: {role: roles[role] for role in _ROLES if roles.get(role)}
        for band, roles in images.items()
    }
    for roles in ordered.values():
        if "weight" in roles and "rms" in roles:
            unused += roles.pop("rms")
    return ordered, unused


def _select_hdu(found: Sequence[ImagePlane], planes: Sequence[ImagePlane]) -> Any:
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


def _name_files(chosen: set[Path], files: Sequence[Path]) -> str | list[str]:
    """A path, a pattern that fits exactly the chosen ones, or a list."""
    paths = sorted(chosen)
    if len(paths) == 1:
        return str(paths[0])
    root = Path(os.path.commonpath([path.parent for path in paths]))
    patterns = [_common_pattern([path.name for path in paths])]
    # Words that all names have and no other name has.
    words = set.intersection(*({*split_words(path.name)} for path in paths))
    others = set().union(*({*split_words(f.name)} for f in files if f not in chosen), ())
    patterns += [f"*{glob.escape(word)}*" for word in sorted(words - others, key=len)[::-1]]
    below = "" if all(path.parent == root for path in paths) else "**/"
    for pattern in patterns:
        full = f"{root}/{below}{pattern}"
        matches = glob.glob(f"{glob.escape(str(root))}/{below}{pattern}", recursive=True)
        if {Path(match) for match in matches} == chosen:
            return full
    return [str(path) for path in paths]


def _common_pattern(names: Sequence[str]) -> str:
    """The names word by word, with ``*`` where they differ."""
    parts = [re.split(r"([^A-Za-z0-9]+)", name) for name in names]
    if len({len(part) for part in parts}) > 1:
        first, last = min(names), max(names)
        n = next((k for k, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), 0)
        return f"{glob.escape(first[:n])}*"
    words = (glob.escape(w[0]) if len(set(w)) == 1 else "*" for w in zip(*parts, strict=True))
    return re.sub(r"\*(?:[^A-Za-z0-9*?\[\]]*\*)+", "*", "".join(words))


def _describe_bands(
    draft: SurveyDraft,
    groups: Mapping[str, Mapping[str, list[ImagePlane]]],
    unused: list[ImagePlane],
) -> None:
    for band, _ in draft.bands:
        roles = groups[band]
        counts = ", ".join(
            f"{len(found)} {_PLURALS[role] if len(found) > 1 else role}"
            for role, found in roles.items()
        )
        source = roles["image"][0].source
        draft.notes.append(f"band {band}{f' (from {source})' if source else ''}: {counts}")
    if "image" in groups:
        draft.notes.append("no filter was found: give the band 'image' its name")
    if unused:
        plane = unused[0]
        name = plane.unit.name or f"HDU {plane.unit.index}"
        draft.notes.append(
            f"not used: {len(unused)} images such as {plane.path.name}, {name} ({plane.role})"
        )


def _add_zero_points(
    draft: SurveyDraft, groups: Mapping[str, Mapping[str, list[ImagePlane]]]
) -> None:
    images = [plane for roles in groups.values() for plane in roles["image"]]
    units = {str(plane.card("BUNIT") or "").strip() for plane in images}
    stated = ", ".join(sorted(units - {""})) or "no BUNIT"
    if all((scale := compare_units(unit, "nJy")) is not None and scale == scale for unit in units):
        draft.notes.append(f"flux unit from BUNIT: {stated}")
        return
    for key in _ZERO_POINTS:
        values = [plane.card(key) for plane in images]
        if all(isinstance(v, (int, float)) and 10 < v < 40 for v in values):
            for _, keys in draft.bands:
                keys["zero_point"] = key
            draft.notes.append(f"zero points from the card {key}, taken as AB magnitudes")
            return
    draft.notes.append(
        f"no zero points: pixel values stay as they are in the files ({stated}); "
        "zero_point = ... in each band brings them to one unit"
    )
