"""A yes/no question: sigmoid head, binary cross-entropy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import ops
from astrocnn.column import Column
from astrocnn.errors import CatalogError
from astrocnn.targets.families._draws import moments
from astrocnn.targets.families._labels import as_text, unknown_labels

__all__ = ["Bernoulli", "examples"]

_NO = ("0", "no", "n", "f", "false")
_YES = ("1", "yes", "y", "t", "true")


@dataclass(frozen=True)
class Bernoulli:
    """The probability that the answer to a question is yes.

    Labels are booleans, 0 and 1, words (yes/no, true/false, in any case), or fractions between 0
    and 1 such as the share of volunteers who said yes, which are trained on as they are.

    Examples
    --------
    >>> Bernoulli().encode(["yes", "no", ""])[0].ravel().tolist()
    [1.0, 0.0, 0.0]
    """

    chapter: ClassVar[str] = "classification"

    @property
    def classes(self) -> tuple[str, ...]:
        """The two answers."""
        return ("no", "yes")

    @property
    def units(self) -> int:
        """One logit."""
        return 1

    @property
    def initial_loss(self) -> float:
        """Cross-entropy of an even guess, log 2 [nat]."""
        return math.log(2.0)

    def encode(
        self, values: Any, missing: Any = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The probability of yes: 0, 1 or a fraction; 0 with weight 0 where there is no label.

        Raises
        ------
        CatalogError
            If a label is neither an answer nor a number between 0 and 1.
        """
        data = np.asarray(np.ma.getdata(values))
        if data.dtype.kind == "f" and data.ndim == 1:
            answer, none = self._fractions(values, data, missing)
        else:
            answer, none = self._words(values, missing)
        return np.where(none, 0.0, answer).astype(np.float32)[:, None], (~none).astype(np.float32)

    @staticmethod
    def _words(values: Any, missing: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        text, none = as_text(values, missing)
        words, inverse = np.unique(text, return_inverse=True)
        answers = np.array([_answer(str(word)) for word in words], np.float64)
        answer = answers[inverse] if len(text) else np.zeros(0)
        unknown = np.isnan(answer) & ~none
        if unknown.any():
            raise unknown_labels(
                text, unknown, _NO + _YES, 'map the value to "yes", "no", or "" for "no label"'
            )
        return answer, none

    @staticmethod
    def _fractions(
        values: Any, data: NDArray[np.floating], missing: Any
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        none = np.isnan(data)
        if missing is not None:
            none |= np.asarray(missing, bool)
        none |= np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else False
        answer = np.where(none, 0.0, data).astype(np.float64)
        outside = (answer < 0) | (answer > 1)
        if outside.any():
            raise CatalogError(
                f"{int(outside.sum())} labels of a yes/no question lie outside 0 to 1.",
                received=[f"{v:g}" for v in np.unique(answer[outside])],
                allowed="0, 1, a fraction between them, or NaN for no label",
                hint='map the value to "yes", "no", or "" for "no label"',
            )
        return answer, none

    def activate(self, raw: Any) -> Any:
        """Logistic function."""

        return ops.sigmoid(ops.cast(raw, "float32"))

    def loss(self, encoded: Any, raw: Any) -> Any:
        """Binary cross-entropy from the logit x, softplus(x) - x y [nat]."""

        x = ops.cast(raw, "float32")
        return ops.sum(ops.softplus(x) - x * ops.cast(encoded, "float32"), axis=-1)

    def summarize(self, samples: NDArray[np.floating]) -> dict[str, NDArray[Any]]:
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
        return (
            Column("p", "f4", "", "stat.probability", "Probability of yes, mean over draws"),
            Column("p_std", "f4", "", "stat.stdev;stat.probability", "Spread over draws of P(yes)"),
            Column("entropy", "f4", "", "stat.value", "Predictive entropy H[mean p] in nat"),
            Column(
                "mutual_info", "f4", "", "stat.value", "H[mean p] - mean H[p] in nat (epistemic)"
            ),
        )

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


def _answer(word: str) -> float:
    """0 for no, 1 for yes, a fraction as it is, NaN for anything else."""
    if word.lower() in _NO + _YES:
        return float(word.lower() in _YES)
    try:
        fraction = float(word)
    except ValueError:
        return math.nan
    return fraction if 0.0 <= fraction <= 1.0 else math.nan


def examples() -> tuple[Bernoulli, ...]:
    """Instances for the contract tests."""
    return (Bernoulli(),)
