"""A draft of a survey of small files, one for each object or for each object and band."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from astrocnn.errors import ImageError
from astrocnn.imaging.files import FileTemplate
from astrocnn.runs.drafts.image_planes import (
    PICTURES,
    SUFFIXES,
    ImagePlane,
    group_planes,
    list_planes,
    select_hdu,
    sort_bands,
)
from astrocnn.runs.drafts.survey import SIDE, SurveyDraft

__all__ = ["draft_stamps"]

_TRIED = 50


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
        groups, unused = group_planes(planes)
        for band in sort_bands(groups):
            keys: dict[str, Any] = {}
            for role, found in groups[band].items():
                hdu = None if len(planes) == 1 else select_hdu(found, planes)
                if hdu is not None:
                    keys["hdu" if role == "image" else f"{role}_hdu"] = hdu
            draft.bands.append((band, keys))
        draft.describe_bands(groups, unused)
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
    if len(sizes) == 1 and side <= 1.5 * SIDE:
        draft.size = side
        return
    draft.common["crop"] = side
    draft.notes.append(
        f"crop = {side}, the whole of {'the smallest' if len(sizes) > 1 else 'each'} file, "
        f"averaged to {draft.size} pixels: make it smaller if the objects do not fill the images"
    )
