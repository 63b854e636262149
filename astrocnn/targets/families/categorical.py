"""One of several named classes: softmax head, cross-entropy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from astropy.io.votable.ucd import check_ucd
from numpy.typing import ArrayLike, NDArray

from astrocnn.backend import Tensor, ops
from astrocnn.column import Column
from astrocnn.errors import ConfigError
from astrocnn.targets.families.base import (
    ENTROPY_ROWS,
    ClassFamily,
    Encoded,
    build_columns,
    moments,
)
from astrocnn.targets.labels import (
    as_text,
    column_name,
    match_labels,
    unknown_labels,
    validate_distinct,
    validate_names,
)

__all__ = ["Categorical", "examples"]


@dataclass(frozen=True)
class Categorical(ClassFamily):
    """Exactly one of K mutually exclusive classes.

    Parameters
    ----------
    classes : tuple of str
        At least two names, in the order of the network's outputs.
    ucd : str
        UCD of what the classes are: ``src.class``, or ``src.morph.type`` for morphologies.

    Raises
    ------
    ConfigError
        If the names cannot be used, or the UCD is none of the IVOA's.

    Examples
    --------
    >>> family = Categorical(("elliptical", "spiral"))
    >>> family.encode(["spiral", ""])[0].tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """

    classes: tuple[str, ...]
    ucd: str = field(default="src.class", kw_only=True)

    def __post_init__(self) -> None:
        if not check_ucd(f"stat.probability;{self.ucd}", check_controlled_vocabulary=True):
            raise ConfigError(
                "The UCD of the classes is not valid behind 'stat.probability'.",
                received=self.ucd,
                hint='ucd = "src.class", or "src.morph.type" for morphologies',
            )
        object.__setattr__(self, "classes", validate_names(self.classes, "class"))
        validate_distinct((column.name for column in self.columns()), self.classes, "class")

    @property
    def units(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def initial_loss(self) -> float:
        """Cross-entropy of a uniform guess, log K [nat]."""
        return math.log(self.units)

    def encode(self, values: ArrayLike, missing: ArrayLike | None = None) -> Encoded:
        """One-hot labels; all zero, with weight 0, where there is none.

        Raises
        ------
        CatalogError
            If a label is not one of the classes.
        """
        text, none = as_text(values, missing)
        place = match_labels(text, self.classes)
        unknown = (place < 0) & ~none
        if unknown.any():
            raise unknown_labels(
                text,
                unknown,
                self.classes,
                'add it to the classes, or map it to one of them, or to "" for "no label"',
            )
        encoded = np.zeros((len(text), self.units), np.float32)
        rows = np.flatnonzero(~none)
        encoded[rows, place[rows]] = 1.0
        return encoded, (~none).astype(np.float32)

    def activate(self, raw: Tensor) -> Tensor:
        """Softmax over the last axis."""
        return ops.softmax(ops.cast(raw, "float32"), axis=-1)

    def loss(self, encoded: Tensor, raw: Tensor) -> Tensor:
        """Cross-entropy, minus the sum over k of y_k log p_k [nat]."""
        log_p = ops.log_softmax(ops.cast(raw, "float32"), axis=-1)
        return -ops.sum(ops.cast(encoded, "float32") * log_p, axis=-1)

    def summarize(self, samples: NDArray[np.floating]) -> dict[str, NDArray[np.generic]]:
        """Mean and spread of each probability, the most probable class, and entropies."""
        m = moments(samples)
        finite = np.all(np.isfinite(m.mean), axis=1)
        # The argmax of a row of NaN would be the first class.
        best = np.argmax(np.where(np.expand_dims(finite, 1), m.mean, 0.0), axis=1)
        names = np.array(self.classes)
        classes = np.where(finite, names[best], np.array("", names.dtype)).astype(names.dtype)
        numbers = np.column_stack([m.mean, m.std]).astype(np.float32).T
        entropies = (m.entropy.astype(np.float32), m.mutual_info.astype(np.float32))
        columns = [column.name for column in self.columns()]
        return dict(zip(columns, (*numbers, classes, *entropies), strict=True))

    def columns(self) -> tuple[Column, ...]:
        """Descriptions of what `summarize` returns."""
        names = [(f"p_{column_name(c)}", c) for c in self.classes]
        rows = [
            (p, f"stat.probability;{self.ucd}", f"Probability of class {c}, mean over draws")
            for p, c in names
        ]
        rows += [
            (f"{p}_std", "stat.stdev;stat.probability", f"Spread over draws of P({c})")
            for p, c in names
        ]
        width = max(map(len, self.classes))
        best = Column(
            "class", f"U{width}", "", f"meta.code.class;{self.ucd}", "Most probable class"
        )
        return (*build_columns(rows), best, *build_columns(ENTROPY_ROWS))

    def tally(self, encoded: NDArray[np.floating], weight: NDArray[np.floating]) -> dict[str, int]:
        """Number of labelled objects of each class."""
        counts = np.asarray(encoded)[np.asarray(weight) > 0].sum(axis=0)
        return {name: round(float(n)) for name, n in zip(self.classes, counts, strict=True)}

    def to_probabilities(self, samples: NDArray[np.floating]) -> NDArray[np.floating]:
        """The samples themselves."""
        return samples

    def from_probabilities(self, probabilities: NDArray[np.floating]) -> NDArray[np.floating]:
        """The probabilities themselves."""
        return probabilities

    def to_truth(self, encoded: NDArray[np.floating]) -> NDArray[np.floating]:
        """The one-hot labels themselves."""
        return encoded


def examples() -> tuple[Categorical, ...]:
    """Instances for the contract tests."""
    return (
        Categorical(("star", "galaxy")),
        Categorical(("elliptical", "spiral", "edge-on", "merger of two"), ucd="src.morph.type"),
    )
