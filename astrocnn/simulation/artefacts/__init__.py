"""What spoils an image, one artefact a file: drawn from its physics, with its truth mask.

Each leaf holds

- ``STAGE``: where it enters the light path, one of `astrocnn.simulation.artefacts.base.STAGES`;
- ``STRENGTHS``: range of strengths in a simulated survey, from barely visible to ruinous, where
  1 is conspicuous;
- ``SEVERITY``: what its severity measures;
- ``draw(image, camera, rng, strength=1.0) -> Drawn``: a new image, the mask of the pixels
  touched and the severity, which grows with the strength.
"""

from __future__ import annotations

import functools
from types import ModuleType

from astrocnn import plugins
from astrocnn.simulation.artefacts.base import STAGES, Camera, Drawn

__all__ = ["ARTEFACTS", "Camera", "Drawn", "artefact_named", "in_order"]

ARTEFACTS: tuple[str, ...] = plugins.module_names(__name__)
"""All artefacts: the file names of this folder, in alphabetical order."""


@functools.cache
def artefact_named(name: str) -> ModuleType:
    """The module that draws an artefact.

    Parameters
    ----------
    name : str
        For instance ``"cosmic_ray"``.

    Returns
    -------
    module
        With ``draw``, ``STAGE``, ``STRENGTHS`` and ``SEVERITY``.

    Raises
    ------
    ConfigError
        If there is no such artefact; the message holds the nearest known name.
    """
    return plugins.load_module(__name__, name)


def in_order(names: tuple[str, ...]) -> tuple[str, ...]:
    """Artefacts in the order in which light meets them: sky, optics, detector, read-out.

    Parameters
    ----------
    names : tuple of str
        Artefacts, in any order.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> in_order(("edge", "cosmic_ray", "defocus"))
    ('defocus', 'cosmic_ray', 'edge')
    """
    return tuple(sorted(names, key=lambda n: (STAGES.index(artefact_named(n).STAGE), n)))
