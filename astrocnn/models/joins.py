"""How the layers of a network are named, joined and reshaped, and what went wrong among them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from astrocnn.backend import layers
from astrocnn.errors import ConfigError, ModelError
from astrocnn.models.options import Options

__all__ = ["Joins"]

_READOUTS = {
    "average": {
        3: layers.GlobalAveragePooling1D,
        4: layers.GlobalAveragePooling2D,
        5: layers.GlobalAveragePooling3D,
    },
    "max": {
        3: layers.GlobalMaxPooling1D,
        4: layers.GlobalMaxPooling2D,
        5: layers.GlobalMaxPooling3D,
    },
}


class Joins:
    """Layers without weights that join and reshape, for one network.

    Parameters
    ----------
    options : Options
        Overrides what an architecture asks for.

    Notes
    -----
    What the options ask for and a layer cannot do is collected in `mistakes`, and the layer made
    without it, so that all mistakes can be told at once.
    """

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self._count: Counter[str] = Counter()
        self._impossible: dict[str, list[str]] = {}

    @property
    def mistakes(self) -> list[ConfigError]:
        """What the options asked for and the layers made so far cannot do."""
        return [
            ConfigError(f"{what}.", received=", ".join(where))
            for what, where in self._impossible.items()
        ]

    def add(self, first: Any, second: Any) -> Any:
        """Sum of two branches of one shape.

        Raises
        ------
        ModelError
            If the branches differ in shape.
        """
        if tuple(first.shape) != tuple(second.shape):
            if self.options.activation == "maxout":
                self._cannot(
                    "activation = maxout halves the maps, which then cannot be added to a shortcut",
                    f"{first.shape[-1]} maps and {second.shape[-1]}",
                )
                return second
            raise _unequal(first, second)
        return layers.Add(name=self._name("add"))([first, second])

    def concatenate(self, *tensors: Any) -> Any:
        """Branches side by side in the channels.

        Raises
        ------
        ModelError
            If the branches differ in height or width.
        """
        if len(tensors) == 1:
            return tensors[0]
        for other in tensors[1:]:
            if tuple(other.shape[1:-1]) != tuple(tensors[0].shape[1:-1]):
                raise _unequal(tensors[0], other)
        return layers.Concatenate(name=self._name("concat"))(list(tensors))

    def flatten(self, x: Any, scalars: Any = None) -> Any:
        """Feature maps as one vector, with the scalar inputs joined to it."""
        return self._join(self._read_out(x, "flatten"), scalars)

    def global_pool(self, x: Any, scalars: Any = None) -> Any:
        """Mean of each feature map, over the orientations too, with the scalar inputs joined."""
        return self._join(self._read_out(x, "average"), scalars)

    def reshape(self, x: Any, shape: tuple[int, ...]) -> Any:
        """The same numbers in another shape (without the objects)."""
        return layers.Reshape(shape, name=self._name("reshape"))(x)

    def _read_out(self, x: Any, kind: str) -> Any:
        kind = self.options.readout or kind
        if kind == "flatten" and len(x.shape) == 5:
            self._cannot(
                "readout = flatten keeps the orientations apart, which the network makes alike",
                f"maps in {x.shape[-2]} orientations",
            )
            kind = "average"
        if kind == "flatten":
            return layers.Flatten(name=self._name("flatten"))(x)
        return _READOUTS[kind][len(x.shape)](name=self._name("global_pool"))(x)

    def _join(self, x: Any, scalars: Any) -> Any:
        return x if scalars is None else self.concatenate(x, scalars)

    def _cannot(self, what: str, where: str) -> None:
        self._impossible.setdefault(what, []).append(where)

    def _name(self, kind: str) -> str:
        self._count[kind] += 1
        return f"{kind}{self._count[kind]}"


def _unequal(first: Any, second: Any) -> ModelError:
    return ModelError(
        "Two branches that are to be joined differ in shape.",
        received=f"{tuple(first.shape[1:])} and {tuple(second.shape[1:])}",
        hint="leave the option padding unset for networks of branches",
    )
