"""One file for each kind of object: `draw` decides its form, `paint` draws its components.

``draw(rng, r_e) -> Shape`` must know the flux of each component; ``paint(shape, canvas, rng)``
returns the transforms of the components, each of unit flux, in the order of ``shape.lights``.
"""

from __future__ import annotations

from types import ModuleType

from astrocnn import plugins

__all__ = ["CLASSES", "class_named"]

CLASSES: tuple[str, ...] = plugins.module_names(__name__)
"""Labels of the truth catalogue: the file names of this folder."""


def class_named(label: str) -> ModuleType:
    """The module that draws a class.

    Parameters
    ----------
    label : str
        For instance ``"spiral"``.

    Returns
    -------
    module
        With ``draw`` and ``paint``.
    """
    return plugins.load_module(__name__, label)
