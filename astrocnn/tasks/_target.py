"""One predicted quantity and the column of the catalogue that holds its labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn import plugins
from astrocnn.errors import CatalogError, ConfigError
from astrocnn.families import Bernoulli, Categorical, Family, as_text

__all__ = ["Target", "question"]

_OPTIONS = ("column", "classes", "map", "weight", "symmetric")


@dataclass(frozen=True)
class Target:
    """One predicted quantity.

    Parameters
    ----------
    name : str
        Prefix of its columns and name of the network's output; begins with a letter.
    family : Family
        Its predictive distribution.
    column : str
        Label column in the catalogue.
    map : mapping of str to str, optional
        Value in the catalogue to label.  An empty label means "no label"; the key ``"*"``
        catches every value that is neither a key nor already a label.
    weight : float
        Share of this target in the loss.
    symmetric : bool
        False when a mirror image has another label (handedness of spirals): augmentation must
        then not flip.
    """

    name: str
    family: Family
    column: str
    map: Mapping[str, str] | None = None
    weight: float = 1.0
    symmetric: bool = True

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", self.name.replace("-", "_")):
            raise ConfigError(
                "The name of a target must begin with a letter and hold letters, digits, '-', '_'.",
                received=repr(self.name),
            )
        if not (np.isfinite(self.weight) and self.weight > 0):
            raise ConfigError(
                f"The weight of target '{self.name}' must be a positive number.",
                received=self.weight,
            )
        if self.map is not None:
            clean = {_key(k): "" if v is None else _key(v) for k, v in self.map.items()}
            object.__setattr__(self, "map", clean)
            try:
                self.family.encode(sorted(set(clean.values())))
            except CatalogError as error:
                raise ConfigError(
                    f"The map of target '{self.name}' leads to a label it does not have.",
                    received=error.received,
                    allowed=error.allowed,
                    hint=error.hint,
                ) from error

    @property
    def prefix(self) -> str:
        """Name of the target as columns carry it."""
        return self.name.replace("-", "_")

    def encode(
        self, values: Any, missing: Any = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Encode a label column; see `astrocnn.families.Family.encode`.

        Raises
        ------
        CatalogError
            If a label is neither mapped nor known, naming the column.
        """
        try:
            if self.map is not None:
                values, missing = self._mapped(values, missing)
            return self.family.encode(values, missing)
        except CatalogError as error:
            raise CatalogError(
                f"Column '{self.column}': {error.what}",
                received=error.received,
                allowed=error.allowed,
                hint=error.hint,
            ) from error

    def _mapped(self, values: Any, missing: Any) -> tuple[NDArray[np.str_], NDArray[np.bool_]]:
        assert self.map is not None
        text, none = as_text(values, missing)
        words, inverse = np.unique(text, return_inverse=True)
        labels = []
        for word in words.tolist():
            label = self.map.get(word, word)
            if word not in self.map and "*" in self.map and word and not self._knows(word):
                label = self.map["*"]
            labels.append(label)
        mapped = np.array(labels, dtype=str)[inverse] if len(text) else text
        return mapped, none | (mapped == "")

    def _knows(self, word: str) -> bool:
        try:
            self.family.encode([word])
        except CatalogError:
            return False
        return True


def question(name: str, options: str | Mapping[str, Any]) -> Target:
    """A target from the name of its column, or from a mapping of options.

    Raises
    ------
    ConfigError
        If an option is unknown, or the column is missing.
    """
    if isinstance(options, str):
        options = {"column": options}
    if not isinstance(options, Mapping):
        raise ConfigError(
            f"Question '{name}' needs the name of its column, or a table of options.",
            received=repr(options),
        )
    for key in options:
        if key not in _OPTIONS:
            raise ConfigError(
                f"Question '{name}' has no option '{key}'.",
                allowed=_OPTIONS,
                hint=plugins.nearest(key, _OPTIONS),
            )
    if not isinstance(options.get("column"), str):
        raise ConfigError(
            f"Question '{name}' needs the column that holds its answers.",
            received=repr(options.get("column")),
            hint=f'column = "{name}"',
        )
    classes = options.get("classes")
    family = Bernoulli() if classes is None else Categorical(classes)
    symmetric = options.get("symmetric")
    if symmetric is None:
        spoken = f"{name} {' '.join(classes or ())}".lower()
        symmetric = not re.search(r"clockwise|handedness", spoken)
    return Target(
        name,
        family,
        options["column"],
        map=options.get("map"),
        weight=options.get("weight", 1.0),
        symmetric=symmetric,
    )


def _key(value: object) -> str:
    return str(as_text(np.array([value], dtype=object))[0][0])
