"""One predicted quantity and the column of the catalogue that holds its labels."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrocnn.errors import AstrocnnWarning, CatalogError, ConfigError
from astrocnn.targets.families import Family
from astrocnn.targets.families.base import MAX_UNITS
from astrocnn.targets.labels import as_text

__all__ = ["Target"]


@dataclass(frozen=True)
class Target:
    """One predicted quantity.

    Parameters
    ----------
    name : str
        Prefix of its columns and name of the network's output; begins with a letter.
    family : Family
        Its predictive distribution.
    column : str or tuple of str
        Label column in the catalogue; for votes, one column for each answer.
    map : mapping of str to str, optional
        Value in the catalogue to label.  An empty label means "no label"; the key ``"*"``
        catches every value that is neither a key nor already a label.
    weight : float
        Factor of this target in the loss.
    symmetric : bool
        False when a mirror image has another label (handedness of spirals): augmentation must
        then not flip.
    total : str, optional
        Column with the number of all votes, which those for the answers must not exceed.
    depends_on : str, optional
        ``"question.answer"`` of another target: only those who gave that answer are asked.
    """

    name: str
    family: Family
    column: str | tuple[str, ...]
    map: Mapping[str, str] | None = None
    weight: float = 1.0
    symmetric: bool = True
    total: str | None = None
    depends_on: str | None = None

    def __post_init__(self) -> None:
        if self.family.units > MAX_UNITS:
            raise ConfigError(
                f"The family of target '{self.name}' is too large.",
                received=f"{self.family.units} numbers for an object",
                allowed=f"{MAX_UNITS}",
            )
        if not isinstance(self.column, str):
            object.__setattr__(self, "column", tuple(self.column))
            if len(self.column) != self.family.units or self.map is not None:
                raise ConfigError(
                    f"Target '{self.name}' needs one column for each of its "
                    f"{self.family.units} answers, and no map.",
                    received=self.column,
                )
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", self.prefix):
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
                # Encoding is the one definition of what a label of the family is.
                self.family.encode(sorted(set(clean.values())))
            except CatalogError as error:
                raise ConfigError(
                    f"The map of target '{self.name}' leads to a label it does not have.",
                    received=error.received,
                    allowed=error.allowed,
                    hint=error.hint,
                ) from error

    @property
    def label_columns(self) -> tuple[str, ...]:
        """Columns of the catalogue that `encode` takes, in order; that of the total comes last."""
        columns = (self.column,) if isinstance(self.column, str) else self.column
        return columns if self.total is None else (*columns, self.total)

    @property
    def prefix(self) -> str:
        """Name of the target as columns carry it."""
        return self.name.replace("-", "_")

    def encode(
        self, values: ArrayLike, missing: ArrayLike | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Encode labels of shape (n,), or (n, k) for k `label_columns`, as `Family.encode` does.

        Raises
        ------
        CatalogError
            If a label is neither mapped nor known, naming the column, or votes exceed their total.

        Warns
        -----
        AstrocnnWarning
            If labels lie outside the range of the family, naming the column.
        """
        try:
            if self.total is not None:
                values, missing = self._without_total(values, missing)
            if self.map is not None:
                values, missing = self._apply_map(self.map, values, missing)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", AstrocnnWarning)
                encoded = self.family.encode(values, missing)
        except CatalogError as error:
            error.what = f"{self._columns_text}: {error.what}"
            raise
        for warning in caught:
            warnings.warn(
                f"{self._columns_text}: {warning.message}", warning.category, stacklevel=2
            )
        return encoded

    @property
    def _columns_text(self) -> str:
        noun = "Column" if len(self.label_columns) == 1 else "Columns"
        return f"{noun} {', '.join(repr(c) for c in self.label_columns)}"

    def _without_total(
        self, values: ArrayLike, missing: ArrayLike | None
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
        """The votes without the last column, their total, which they must not exceed."""
        *votes, total = np.moveaxis(np.asarray(values, np.float64), 1, 0)
        none = None if missing is None else np.asarray(missing, bool)
        # A comparison with NaN, an unknown total, is false.
        bad = np.sum(votes, axis=0) > total
        if none is not None:
            bad &= ~none.any(axis=1)
        if bad.any():
            first = np.flatnonzero(bad)[:5]
            raise CatalogError(
                f"{int(bad.sum())} objects have more votes than their total.",
                received=[f"row {i}: {sum(v[i] for v in votes):g} of {total[i]:g}" for i in first],
                hint="give the column with the total of this question, or leave it out",
            )
        return np.stack(votes, axis=1), None if none is None else none[:, :-1]

    def _apply_map(
        self, mapping: Mapping[str, str], values: ArrayLike, missing: ArrayLike | None
    ) -> tuple[NDArray[np.str_], NDArray[np.bool_]]:
        text, none = as_text(values, missing)
        unique, inverse = np.unique(text, return_inverse=True)
        labels = [mapping.get(value, value) for value in unique.tolist()]
        if "*" in mapping:
            for i, value in enumerate(unique.tolist()):
                if value and value not in mapping and not self._is_label(value):
                    labels[i] = mapping["*"]
        mapped = np.array(labels, dtype=str)[inverse] if len(text) else text
        return mapped, none | (mapped == "")

    def _is_label(self, value: str) -> bool:
        # What lies outside a range is counted where the whole column is read.
        with warnings.catch_warnings(), contextlib.suppress(CatalogError):
            warnings.simplefilter("ignore", AstrocnnWarning)
            self.family.encode([value])
            return True
        return False


def _key(value: object) -> str:
    return str(as_text(np.array([value], dtype=object))[0][0])
