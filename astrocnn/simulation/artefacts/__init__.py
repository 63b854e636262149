"""Artefacts of images, each modelled from its physics, with the mask of the affected pixels.

To add one, write a function with the decorator `astrocnn.simulation.artefacts.base.artefact` in
the module of its kind: `stars`, `optics` or `detector`.
"""

from __future__ import annotations

from astrocnn.errors import ConfigError
from astrocnn.plugins import nearest
from astrocnn.simulation.artefacts import detector, optics, stars
from astrocnn.simulation.artefacts.base import REGISTRY, Artefact, ArtefactResult, Camera

__all__ = [
    "ARTEFACTS",
    "Artefact",
    "ArtefactResult",
    "Camera",
    "detector",
    "get_artefact",
    "optics",
    "stars",
]

ARTEFACTS: tuple[str, ...] = tuple(sorted(REGISTRY))
"""Names of all artefacts, in alphabetical order."""


def get_artefact(name: str) -> Artefact:
    """An artefact by name.

    Parameters
    ----------
    name : str
        One of `ARTEFACTS`, such as ``"cosmic_ray"``.

    Returns
    -------
    Artefact

    Raises
    ------
    ConfigError
        If there is no such artefact; the message holds the nearest known name.
    """
    if name not in REGISTRY:
        raise ConfigError(
            f"Unknown artefact '{name}'.", allowed=ARTEFACTS, hint=nearest(name, ARTEFACTS)
        )
    return REGISTRY[name]
