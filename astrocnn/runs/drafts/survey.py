"""A draft of a survey file, and the image files that it is made from."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from astrocnn.errors import ConfigError
from astrocnn.plugins import nearest_file
from astrocnn.runs.drafts.image_planes import SUFFIXES, ImagePlane

__all__ = ["SIDE", "SurveyDraft", "list_images", "quote"]

MAX_FILES = 100_000
_NO_DATA_CARDS = ("MP_NO_DATA", "MP_BAD")
SIDE = 64
_PLURALS = {
    "image": "images",
    "weight": "weights",
    "rms": "rms images",
    "variance": "variances",
    "mask": "masks",
}


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
    size: int = SIDE
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

    def describe_bands(
        self, groups: Mapping[str, Mapping[str, list[ImagePlane]]], unused: list[ImagePlane]
    ) -> None:
        """Note the planes of each band, and those that are not used."""
        for band, keys in self.bands:
            roles = groups[band]
            if "mask" in roles:
                self._choose_mask_bits(keys, roles["mask"][0])
            counts = ", ".join(
                f"{len(found)} {_PLURALS[role] if len(found) > 1 else role}"
                for role, found in roles.items()
            )
            source = roles["image"][0].source
            self.notes.append(f"band {band}{f' (from {source})' if source else ''}: {counts}")
        if "image" in groups:
            self.notes.append("no filter was found: give the band 'image' its name")
        if unused:
            plane = unused[0]
            name = plane.unit.name or f"HDU {plane.unit.index}"
            self.notes.append(
                f"not used: {len(unused)} images such as {plane.path.name}, {name} ({plane.role})"
            )

    def _choose_mask_bits(self, keys: dict[str, Any], mask: ImagePlane) -> None:
        """Name the bit without data of a mask of the LSST pipelines (HSC, Rubin).

        Other bits of these masks mark the objects themselves (DETECTED).
        """
        for name in _NO_DATA_CARDS:
            bit = mask.unit.value(name)
            if isinstance(bit, int) and 0 <= bit < 63:
                keys["bad_bits"] = 1 << bit
                note = f"masks: bit {bit} ({name}) is no data; other bits are not used"
                self.notes += [note] if note not in self.notes else []
                return


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
                hint=nearest_file(path) or "give files, or the folder that holds them",
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
