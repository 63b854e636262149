"""Selection of usable objects by a probability threshold, with reasons for each rejection.

The threshold is derived on the validation objects from a required completeness ("keep 99 % of the
good images") or purity ("at most 2 % of the selected images may be unusable").
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.calibration.base import Batch, PlainExtra, take_labelled, too_few_objects
from astrocnn.column import Column
from astrocnn.errors import ConfigError, PredictionError
from astrocnn.metrics import Ranking, change_prior, wilson

__all__ = ["Selection", "examples"]

_LEAST_ROWS = 20
"""Minimum number of usable and of unusable objects needed to fit a threshold."""
_LEAST_OF_A_REASON = 5
_NO_YES = ("no", "yes")


@dataclass(frozen=True)
class Selection(PlainExtra):
    """Select objects whose probability of being usable reaches a threshold.

    Parameters
    ----------
    target, prefix : str
        The yes/no target for "usable", and the prefix of its columns.
    threshold : float
        Smallest selected probability, as predicted by the network.
    criterion, level : str, float
        ``"completeness"`` or ``"purity"``, and its smallest allowed value.
    achieved : mapping of str to (value, low, high)
        ``completeness`` (usable objects that are selected), ``purity`` (selected objects that are
        usable) and ``fpr`` (unusable objects that are selected) of the validation objects, with
        95 % Wilson intervals; the purity is that at `prior`.
    n_usable, n_unusable : int
        Number of usable and unusable validation objects.
    trained : float
        Fraction of usable objects implied by the predicted probabilities.
    prior : float or None
        Fraction of usable objects in the survey, if it differs from `trained`.
    reasons : tuple of (str, float)
        Prefix and threshold of each target that is a reason for rejection.
    """

    target: str
    prefix: str
    threshold: float
    criterion: str
    level: float
    achieved: Mapping[str, tuple[float, float, float]]
    n_usable: int
    n_unusable: int
    trained: float
    prior: float | None = None
    reasons: tuple[tuple[str, float], ...] = ()

    @classmethod
    def fit(
        cls,
        task: Any,
        encoded: Mapping[str, Any],
        weights: Mapping[str, Any],
        samples: Mapping[str, Any],
        *,
        completeness: float | None = None,
        purity: float | None = None,
        prior: float | None = None,
        trained: float | None = None,
        target: str | None = None,
        reasons: Sequence[str] | None = None,
    ) -> Selection:
        """Fit the threshold on labelled objects outside the training set.

        For a completeness it is the highest that reaches it; for a purity it is the one, among
        those that reach it, that keeps most usable objects.  The threshold of a reason is the
        one with the best F1 score, one half where it has fewer than five examples.

        Parameters
        ----------
        task : Task
            With a yes/no target for "usable".
        encoded, weights : mapping of str to ndarray of shape (n, 1) and (n,)
            Labels by target, as `Task.encode` gives them.
        samples : mapping of str to ndarray of shape (n_draws, n, 1)
            Activated samples by target.
        completeness, purity : float
            Required value, above 0 and at most 1; give exactly one of the two.
        prior : float, optional
            Fraction of usable objects in the survey; by default that of the validation objects.

        Other Parameters
        ----------------
        trained : float, optional
            Fraction of usable objects in the training set; by default that of the validation
            objects.
        target : str, optional
            The target for "usable"; by default the first of the task.
        reasons : sequence of str, optional
            Targets that are reasons for rejection; by default all other yes/no targets.

        Raises
        ------
        ConfigError
            If not exactly one of completeness and purity is given, a fraction is outside its
            range, or a target is not a yes/no question.
        PredictionError
            If there are fewer than 20 usable or 20 unusable objects, or no threshold reaches the
            purity.

        References
        ----------
        Saerens, Latinne and Decaestecker (2002), Neural Computation 14, 21 (another prior).
        """
        criterion, level = _validate_criterion(completeness, purity)
        for share in (prior, trained):
            if share is not None and not 0 < share < 1:
                raise ConfigError(
                    "The share of usable objects lies between 0 and 1.", received=share
                )
        main = _question(task, task.targets[0].name if target is None else target)
        if reasons is None:
            others = [t for t in task.targets if t.name != main.name and _is_question(t)]
        else:
            others = [_question(task, name) for name in reasons]
        usable, p = _get_truth_and_probability(main, encoded, weights, samples)
        n_usable, n_unusable = int(usable.sum()), int((~usable).sum())
        if min(n_usable, n_unusable) < _LEAST_ROWS:
            kind = "usable" if n_usable < n_unusable else "unusable"
            raise too_few_objects(
                f"a selection by '{main.name}': {kind} ones",
                min(n_usable, n_unusable),
                _LEAST_ROWS,
            )
        ranking = Ranking(usable, p)
        kept, wrong = ranking.counts()
        pure = _purity(kept / n_usable, wrong / n_unusable, prior or n_usable / len(usable))
        if criterion == "completeness":
            # The tolerance keeps 19 of 20 at 95 %, whose product in floating point exceeds 19.
            at = int(np.argmax(kept >= level * n_usable * (1 - 1e-12)))
        else:
            reached = np.flatnonzero((pure >= level * (1 - 1e-12)) & (kept > 0))
            if not reached.size:
                raise PredictionError(
                    f"No threshold on '{main.name}' reaches the purity asked for.",
                    received=level,
                    allowed=f"at most {pure[kept > 0].max():.4g} on the validation objects",
                )
            at = int(reached[-1])
        achieved = _achieved(int(kept[at]), n_usable, int(wrong[at]), n_unusable, prior)
        return cls(
            target=main.name,
            prefix=main.prefix,
            threshold=float(ranking.thresholds[at]),
            criterion=criterion,
            level=float(level),
            achieved=achieved,
            n_usable=n_usable,
            n_unusable=n_unusable,
            trained=float(trained or n_usable / len(usable)),
            prior=None if prior is None else float(prior),
            reasons=tuple(
                (t.prefix, _best_f1(*_get_truth_and_probability(t, encoded, weights, samples)))
                for t in others
            ),
        )

    def compute_rates(
        self,
        task: Any,
        encoded: Mapping[str, Any],
        weights: Mapping[str, Any],
        samples: Mapping[str, Any],
    ) -> dict[str, tuple[float, float, float]]:
        """Completeness, purity and false positive rate of other objects, with Wilson intervals.

        Parameters
        ----------
        task, encoded, weights, samples
            As for `fit`, of objects that the threshold was not chosen on.

        Returns
        -------
        dict of str to (value, low, high)
            As ``achieved``; empty if there is no usable or no unusable object.
        """
        usable, p = _get_truth_and_probability(task.target(self.target), encoded, weights, samples)
        n_usable, n_unusable = int(usable.sum()), int((~usable).sum())
        if not n_usable or not n_unusable:
            return {}
        kept = p >= self.threshold
        counts = int((kept & usable).sum()), n_usable, int((kept & ~usable).sum()), n_unusable
        return _achieved(*counts, self.prior)

    @property
    def summary(self) -> str:
        """One sentence with the criterion, the threshold and the achieved rates."""
        labels = {"fpr": "false-positive rate"}
        rates = ", ".join(
            f"{labels.get(name, name)} {value:.3f} [{low:.3f}, {high:.3f}]"
            for name, (value, low, high) in self.achieved.items()
        )
        return (
            f"Selection at {self.criterion} >= {self.level:g}: "
            f"{self.prefix}_p >= {self.threshold:.4g}, {rates} "
            f"({self.n_usable} usable and {self.n_unusable} unusable validation objects)"
        )

    def columns(self) -> tuple[Column, ...]:
        """``selected``, ``rejected_for`` and, with a prior, the adjusted probability."""
        low = f"{self.prefix} probability low"
        width = max(len(low), len("+".join(name for name, _ in self.reasons)))
        text = f"1: {self.prefix}_p reaches {self.threshold:.6g}; 0: it does not"
        result = [
            Column("selected", "i2", "", "meta.code", text, nullable=True, null=-1),
            Column(
                "rejected_for",
                f"U{width}",
                "",
                "meta.note",
                "Reasons above their own thresholds, most probable first; empty if selected",
            ),
        ]
        if self.prior is not None:
            text = f"Probability of yes where a share of {self.prior:g} is"
            name = f"{self.prefix}_p_prior"
            result.append(Column(name, "f4", "", "stat.probability", text))
        return tuple(result)

    def compute(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Compute the columns of a batch of predicted objects."""
        p = np.asarray(batch.columns[f"{self.prefix}_p"], np.float64)
        selected = p >= self.threshold
        columns = self.columns()
        out: dict[str, NDArray[Any]] = {
            "selected": selected.astype(columns[0].dtype),
            "rejected_for": np.where(selected, "", self._list_reasons(batch.columns, len(p))),
        }
        out["rejected_for"] = out["rejected_for"].astype(columns[1].dtype)
        if self.prior is not None:
            out[columns[2].name] = change_prior(p, self.trained, self.prior).astype(np.float32)
        return out

    def _list_reasons(self, columns: Mapping[str, Any], n: int) -> NDArray[np.str_]:
        low = f"{self.prefix} probability low"
        if not self.reasons or not n:
            return np.full(n, low)
        names = np.array([name for name, _ in self.reasons])
        p = np.stack([np.asarray(columns[f"{name}_p"], np.float64) for name in names], axis=1)
        above = p >= np.array([threshold for _, threshold in self.reasons])
        order = np.argsort(-np.where(above, p, -1.0), axis=1, kind="stable")
        ranked = np.where(np.take_along_axis(above, order, axis=1), order, -1)
        kinds, place = np.unique(ranked, axis=0, return_inverse=True)
        texts = ["+".join(names[kind[kind >= 0]]) or low for kind in kinds]
        return np.array(texts)[place.reshape(-1)]


def _validate_criterion(completeness: float | None, purity: float | None) -> tuple[str, float]:
    values = {"completeness": completeness, "purity": purity}
    criteria = [(name, value) for name, value in values.items() if value is not None]
    if len(criteria) != 1:
        raise ConfigError(
            "A selection asks for a completeness or for a purity, not for both or none.",
            received=values,
            hint="completeness=0.95",
        )
    name, value = criteria[0]
    if not 0 < value <= 1:
        raise ConfigError(f"A {name} lies above 0 and is at most 1.", received=value)
    return name, value


def _is_question(target: Any) -> bool:
    return getattr(target.family, "classes", None) == _NO_YES


def _question(task: Any, name: str) -> Any:
    target = task.target(name)
    if not _is_question(target):
        raise ConfigError(
            f"A selection needs yes/no questions; '{name}' is none.",
            received=type(target.family).__name__,
            allowed=[t.name for t in task.targets if _is_question(t)],
        )
    return target


def _get_truth_and_probability(
    target: Any, encoded: Mapping[str, Any], weights: Mapping[str, Any], samples: Mapping[str, Any]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Truth and probability (rounded as in the table) of objects that have both."""
    name = target.name
    labels, chosen, _ = take_labelled(target.family, encoded[name], weights[name], samples[name])
    return labels[:, 0] >= 0.5, np.asarray(target.family.summarize(chosen)["p"], np.float64)


def _purity(tpr: Any, fpr: Any, prior: float) -> NDArray[np.float64]:
    good, bad = prior * np.asarray(tpr), (1 - prior) * np.asarray(fpr)
    return np.asarray(good / np.where(good + bad > 0, good + bad, 1.0))


def _achieved(
    kept: int, usable: int, wrong: int, unusable: int, prior: float | None
) -> dict[str, tuple[float, float, float]]:
    tpr, fpr = _share(kept, usable), _share(wrong, unusable)
    if prior is None:
        pure = _share(kept, kept + wrong)
    else:
        # Completeness and FPR come from different objects; both at their worst is conservative.
        best, low, high = (
            float(_purity(t, f, prior))
            for t, f in ((tpr[0], fpr[0]), (tpr[1], fpr[2]), (tpr[2], fpr[1]))
        )
        pure = (best, low, high)
    return {"completeness": tpr, "purity": pure, "fpr": fpr}


def _share(part: int, whole: int) -> tuple[float, float, float]:
    """Fraction with its 95 % Wilson interval."""
    low, high = wilson(part, whole)
    return part / whole, float(low), float(high)


def _best_f1(yes: NDArray[np.bool_], p: NDArray[np.float64]) -> float:
    positives = int(yes.sum())
    if positives < _LEAST_OF_A_REASON:
        return 0.5
    ranking = Ranking(yes, p)
    right, wrong = ranking.counts()
    f1 = 2 * right / (right + wrong + positives)
    best = float(ranking.thresholds[int(np.argmax(f1))])
    return best if math.isfinite(best) else 0.5


def examples() -> tuple[Selection, ...]:
    """Instances for the contract tests, for a target ``usable`` with a reason ``ghost``."""
    achieved = {
        "completeness": (0.95, 0.93, 0.97),
        "purity": (0.97, 0.95, 0.98),
        "fpr": (0.03, 0.02, 0.05),
    }
    plain = Selection("usable", "usable", 0.4, "completeness", 0.95, achieved, 500, 500, 0.5)
    reasoned = Selection(
        "usable", "usable", 0.4, "purity", 0.97, achieved, 500, 500, 0.5, 0.9, (("ghost", 0.5),)
    )
    return (plain, reasoned)
