"""A draft of a survey of large images, which are cut by sky position."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from astrocnn.errors import ConfigError, ImageError
from astrocnn.imaging.photometry import compare_units
from astrocnn.imaging.tiles import ZERO_POINT_CARDS
from astrocnn.runs.drafts.image_planes import (
    PICTURES,
    ImagePlane,
    group_planes,
    list_planes,
    select_hdu,
    sort_bands,
    split_words,
)
from astrocnn.runs.drafts.survey import SurveyDraft

__all__ = ["draft_tiles"]

_MAX_HEADERS = 2000


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
    groups, unused = group_planes(planes)
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
            hdu = select_hdu(found, planes)
            if hdu is not None:
                keys["hdu" if role == "image" else f"{role}_hdu"] = hdu
        draft.bands.append((band, keys))
    draft.describe_bands(groups, unused)
    _add_zero_points(draft, groups)
    if len(files) > _MAX_HEADERS:
        draft.notes.append(f"looked at the first {_MAX_HEADERS} of {len(files)} files only")
    draft.notes += [f"not read: {message}" for message in unreadable[:3]]
    return draft


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


def _add_zero_points(
    draft: SurveyDraft, groups: Mapping[str, Mapping[str, list[ImagePlane]]]
) -> None:
    images = [plane for roles in groups.values() for plane in roles["image"]]
    units = {str(plane.card("BUNIT") or "").strip() for plane in images}
    stated = ", ".join(sorted(units - {""})) or "no BUNIT"
    if all((scale := compare_units(unit, "nJy")) is not None and scale == scale for unit in units):
        draft.notes.append(f"flux unit from BUNIT: {stated}")
        return
    for key in ZERO_POINT_CARDS:
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
