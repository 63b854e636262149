"""A yes/no question: sigmoid head, binary cross-entropy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrocnn.backend import Tensor, ops
from astrocnn.column import Column
from astrocnn.errors import CatalogError
from astrocnn.targets.families.base import (
    ENTROPY_ROWS,
    ClassFamily,
    Encoded,
    Part,
    build_columns,
    moments,
)
from astrocnn.targets.labels import as_numbers, as_text, unknown_labels

__all__ = ["Bernoulli", "examples"]

_NO = ("0", "no", "n", "f", "false")
_YES = ("1", "yes", "y", "t", "true")
_HINT = 'map the value to "yes", "no", or "" for "no label"'


@dataclass(frozen=True)
class Bernoulli(ClassFamily):
    """The probability that the answer to a question is yes.

    Labels are booleans, 0 and 1, words (yes/no, true/false, in any case), or fractions between 0
    and 1 such as the fraction of volunteers who said yes, which are trained on as they are.

    Examples
    --------
    >>> Bernoulli().encode(["yes", "no", ""])[0].ravel().tolist()
    [1.0, 0.0, 0.0]
    """

    classes = ("no", "yes")

    @property
    def units(self) -> int:
        """One logit."""
        return 1

    @property
    def initial_loss(self) -> float:
        """Cross-entropy of an even guess, log 2 [nat]."""
        return math.log(2.0)

    def encode(self, values: ArrayLike, missing: ArrayLike | None = None) -> Encoded:
        """The probability of yes: 0, 1 or a fraction; 0 with weight 0 where it is missing.

        Raises
        ------
        CatalogError
            If a label is neither an answer nor a number between 0 and 1.
        """
        data = np.asarray(np.ma.getdata(values))
        # Floats are fractions of votes and stay as they are; anything else is an answer.
        if data.dtype.kind == "f" and data.ndim == 1:
            answer, none = as_numbers(values, missing)
            self._validate_fractions(answer)
        else:
            text, none = as_text(values, missing)
            labels, inverse = np.unique(text, return_inverse=True)
            answers = np.array([_parse_answer(str(label)) for label in labels], np.float64)
            answer = answers[inverse] if len(text) else np.zeros(0)
            unknown = np.isnan(answer) & ~none
            if unknown.any():
                raise unknown_labels(text, unknown, _NO + _YES, _HINT)
        return np.where(none, 0.0, answer).astype(np.float32)[:, None], (~none).astype(np.float32)

    @staticmethod
    def _validate_fractions(answer: NDArray[np.float64]) -> None:
        outside = (answer < 0) | (answer > 1)
        if outside.any():
            raise CatalogError(
                f"{int(outside.sum())} labels of a yes/no question lie outside 0 to 1.",
                received=[f"{v:g}" for v in np.unique(answer[outside])],
                allowed="0, 1, a fraction between them, or NaN for a missing label",
                hint=_HINT,
            )

    def activate(self, raw: Tensor) -> Tensor:
        """Logistic function."""
        return ops.sigmoid(ops.cast(raw, "float32"))

    def loss(self, encoded: Tensor, raw: Tensor) -> Tensor:
        """Binary cross-entropy from the logit x, softplus(x) - x y [nat]."""
        x = ops.cast(raw, "float32")
        return ops.sum(ops.softplus(x) - x * ops.cast(encoded, "float32"), axis=-1)

    def summarize(self, samples: NDArray[np.floating]) -> dict[str, NDArray[np.generic]]:
        """Mean and spread of the probability of yes, and entropies."""
        m = moments(self.to_probabilities(samples))
        return {
            "p": m.mean[:, 1].astype(np.float32),
            "p_std": m.std[:, 1].astype(np.float32),
            "entropy": m.entropy.astype(np.float32),
            "mutual_info": m.mutual_info.astype(np.float32),
        }

    def columns(self) -> tuple[Column, ...]:
        """Descriptions of what `summarize` returns."""
        rows = (
            ("p", "stat.probability", "Probability of yes, mean over draws"),
            ("p_std", "stat.stdev;stat.probability", "Spread over draws of P(yes)"),
        )
        return build_columns((*rows, *ENTROPY_ROWS))

    def tally(self, encoded: NDArray[np.floating], weight: NDArray[np.floating]) -> dict[str, int]:
        """Number of labelled objects with either answer (a fraction counts by its majority)."""
        yes = np.asarray(encoded)[np.asarray(weight) > 0, 0] >= 0.5
        return {"no": int((~yes).sum()), "yes": int(yes.sum())}

    def to_probabilities(self, samples: NDArray[np.floating]) -> NDArray[np.floating]:
        """Probabilities of no and yes, of shape (..., 2), in float64."""
        p = np.asarray(samples, np.float64)
        return np.concatenate([1.0 - p, p], axis=-1)

    def from_probabilities(self, probabilities: NDArray[np.floating]) -> NDArray[np.floating]:
        """The probability of yes, of shape (..., 1)."""
        return np.asarray(probabilities)[..., 1:]

    def to_truth(self, encoded: NDArray[np.floating]) -> NDArray[np.floating]:
        """Fractions of no and yes, of shape (n, 2)."""
        return self.to_probabilities(encoded)

    def explained(self, raw: Tensor, part: Part = None, scale: str = "logit") -> Tensor:
        """The logit of yes or, with the opposite sign, of no; or its probability."""
        logit = raw[..., 0] if part == "yes" else -raw[..., 0]
        return logit if scale == "logit" else ops.sigmoid(logit)


def _parse_answer(label: str) -> float:
    """0 for no, 1 for yes, a fraction as it is, NaN for anything else."""
    if label.lower() in _NO + _YES:
        return float(label.lower() in _YES)
    try:
        fraction = float(label)
    except ValueError:
        return math.nan
    return fraction if 0.0 <= fraction <= 1.0 else math.nan


def examples() -> tuple[Bernoulli, ...]:
    """Instances for the contract tests."""
    return (Bernoulli(),)
