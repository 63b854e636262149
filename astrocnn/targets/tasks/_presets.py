"""Lists of classes that the literature knows by name."""

from __future__ import annotations

from typing import Any

from astrocnn import plugins
from astrocnn.errors import ConfigError

__all__ = ["PRESETS", "classes_of"]

PRESETS = {
    # Main morphology classes of the CANDELS visual classification (Kartaltepe et al. 2015, ApJS
    # 221, 11), learned by Huertas-Company et al. (2015), ApJS 221, 8.  A galaxy may
    # be in several there; as classes that exclude one another they stand for the dominant one.
    "candels5": ("spheroid", "disk", "irregular", "point_source", "unclassifiable"),
    # Revised Hubble sequence (de Vaucouleurs 1959), the stages from late Sc onwards together, as
    # there are few of them in flux-limited samples (Nair & Abraham 2010, ApJS 186, 427).
    "hubble": ("E", "S0", "Sa", "Sb", "Sc", "Sd_Irr"),
    # The six buttons of Galaxy Zoo (Lintott et al. 2008, MNRAS 389, 1179, table 1).
    "galaxy_zoo": (
        "elliptical",
        "spiral_clockwise",
        "spiral_anticlockwise",
        "edge_on",
        "star_or_dont_know",
        "merger",
    ),
}


def classes_of(classes: Any) -> Any:
    """The classes of a preset; a list of one's own is given back as it is.

    Raises
    ------
    ConfigError
        If there is no preset of that name.
    """
    if not isinstance(classes, str):
        return classes
    if classes not in PRESETS:
        raise ConfigError(
            f"There is no list of classes named '{classes}'.",
            allowed=PRESETS,
            hint=plugins.nearest(classes, PRESETS) or 'classes = ["elliptical", "spiral"]',
        )
    return PRESETS[classes]
