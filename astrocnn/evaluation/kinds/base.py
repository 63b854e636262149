"""Base class of evaluations: scores, figures, galleries and baselines of one target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self, TypeAlias

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from astrocnn import metrics
from astrocnn.errors import PredictionError
from astrocnn.metrics import Score
from astrocnn.metrics.intervals import Statistic
from astrocnn.report.gallery import Stamp
from astrocnn.targets import Target

__all__ = [
    "Array",
    "Baseline",
    "FigureSpec",
    "ScoreLabel",
    "TargetEvaluation",
    "join_notes",
    "plot_specs",
]

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class ScoreLabel:
    """Label and format of a score.

    Parameters
    ----------
    label : str
        Name in tables.
    percent : bool
        Whether its value is shown in percent.
    """

    label: str
    percent: bool = False


@dataclass(frozen=True)
class FigureSpec:
    """A figure of a report.

    Parameters
    ----------
    section, caption : str
        Chapter of the report it belongs to, and text below it.
    plot : callable
        Makes the figure from the evaluation; None where it does not apply.
    """

    section: str
    caption: str
    plot: Callable[[Any], Figure | None]


class Baseline(Protocol):
    """A predictor without a network, fitted on the training split."""

    @property
    def name(self) -> str:
        """Name in tables."""

    @property
    def description(self) -> str:
        """Description of the prediction, in one sentence."""

    def sample(self, inputs: Any) -> NDArray[np.floating]:
        """Samples of shape (1, n, units), as an estimator returns them."""


class TargetEvaluation(ABC):
    """Predictions of one target beside their labels.

    A subclass is one kind of quantity, chosen by `Family.kind`.  It declares the names of
    its scores, its text in the report and its figures.

    Parameters
    ----------
    target : Target
    encoded, weight : array_like of shape (n, k) and (n,)
        Labels as `Target.encode` gives them; weight 0 where there is none.
    samples : array_like of shape (n_draws, n, units)
        Activated samples; NaN where there is no prediction.
    threshold : float, optional
        Smallest probability at which an object is selected, where there is a selection.

    Attributes
    ----------
    rows : ndarray of int of shape (m,)
        Rows with a label and a prediction; only these are scored.
    n_excluded : int
        Number of other rows.
    reason : str
        Why they are excluded.

    Raises
    ------
    PredictionError
        If the family is not of this kind, or the shapes do not match.
    """

    FAMILY: ClassVar[type]
    """Class of the families that declare this kind."""
    SCORES: ClassVar[Mapping[str, ScoreLabel]]
    """Labels of all scores by name."""
    CLASS_SCORES: ClassVar[Mapping[str, ScoreLabel]] = {}
    """Labels of the scores that each class has, named ``<key>_<class>``."""
    GROUP_SCORES: ClassVar[tuple[str, ...]] = ()
    """Columns of the table of many targets of the same kind."""
    SECTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Chapters of the report in order, with their paragraphs."""
    GALLERY_TEXT: ClassVar[str] = ""
    """Explanation of a gallery, for the report."""

    def __init__(
        self,
        target: Target,
        encoded: ArrayLike,
        weight: ArrayLike,
        samples: ArrayLike,
        threshold: float | None = None,
    ) -> None:
        if not isinstance(target.family, self.FAMILY):
            raise PredictionError(
                f"{type(self).__name__} cannot score target '{target.name}'.",
                received=f"a family of class {type(target.family).__name__}",
                allowed=f"a {self.FAMILY.__name__}",
            )
        self.target, self.threshold = target, threshold
        self.encoded, self.weight = np.asarray(encoded), np.asarray(weight)
        self.samples = np.asarray(samples)
        n, units = len(self.weight), target.family.units
        if self.samples.ndim != 3 or self.samples.shape[1:] != (n, units) or len(self.encoded) != n:
            raise PredictionError(
                f"Labels and samples of target '{target.name}' do not match.",
                received=f"labels {self.encoded.shape}, weights {self.weight.shape}, "
                f"samples {self.samples.shape}",
                allowed=f"samples of shape (draws, n, {units}) and n labels",
            )
        labelled = self.weight > 0
        # One draw at a time: the samples of densities are large.
        predicted = np.all([np.isfinite(draw).all(axis=1) for draw in self.samples], axis=0)
        self.rows = np.flatnonzero(labelled & predicted)
        excluded = {
            self.describe_unlabelled(): int((~labelled).sum()),
            "without a prediction": int((labelled & ~predicted).sum()),
        }
        self.n_excluded = sum(excluded.values())
        self.reason = ", ".join(f"{count} {why}" for why, count in excluded.items() if count)
        self._prepare()

    def __len__(self) -> int:
        return len(self.rows)

    @abstractmethod
    def _prepare(self) -> None:
        """Compute what all scores need from the scored rows."""

    def describe_unlabelled(self) -> str:
        """Why a row without a label is excluded."""
        return "without a label"

    def with_unlabelled(self) -> Self:
        """The same for all predicted rows, whether labelled or not."""
        if (self.weight > 0).all():
            return self
        return type(self)(self.target, self.encoded, np.ones(len(self.weight)), self.samples)

    # Scores

    @abstractmethod
    def statistics(self) -> dict[str, Statistic]:
        """Functions of bootstrap weights by name of their score; the rest of `scores` has none."""

    @abstractmethod
    def get_score_notes(self) -> dict[str, str]:
        """Notes on scores, by name of the score."""

    def get_binomial_trials(self) -> dict[str, int]:
        """Number of trials of the scores that are fractions with a Wilson interval."""
        return {}

    def extra_scores(self) -> list[Score]:
        """Scores without a bootstrap interval."""
        return []

    def scores(self, *, n_resamples: int = 1000, seed: int = 0) -> list[Score]:
        """All scores of the target, with 95 % intervals.

        Without resamples there are no intervals.
        """
        results = metrics.bootstrap(
            self.statistics(), len(self), n_resamples=n_resamples, seed=seed
        )
        if n_resamples:
            # The bootstrap interval of a rate of zero has no width; that of Wilson does.
            for name, trials in self.get_binomial_trials().items():
                score = results[name]
                if np.isfinite(score.value):
                    low, high = metrics.wilson(score.value * trials, trials, score.level)
                    results[name] = replace(score, low=float(low), high=float(high))
        notes = self.get_score_notes()
        return [
            replace(
                score,
                target=self.target.name,
                n_excluded=self.n_excluded,
                reason=self.reason,
                note=join_notes(notes.get(score.name, ""), score.note),
            )
            for score in [*results.values(), *self.extra_scores()]
        ]

    # Report

    @classmethod
    def get_sections(cls, target: Target) -> Mapping[str, tuple[str, ...]]:
        """Chapters of the report in order, with their paragraphs."""
        return cls.SECTIONS

    @classmethod
    def get_shared_notes(cls, target: Target) -> dict[str, str]:
        """Notes of scores that the text explains once, and the sentence that does so."""
        return {}

    @classmethod
    def get_gallery_text(cls, target: Target) -> str:
        """Explanation of a gallery, for the report."""
        return cls.GALLERY_TEXT

    @abstractmethod
    def get_figure_specs(self) -> Mapping[str, FigureSpec]:
        """Figures by name, in the order of the report."""

    @abstractmethod
    def get_column_spec(self, name: str, column: Array) -> FigureSpec:
        """Figure of errors along a column, given for the scored rows."""

    def get_column_specs(self, columns: Mapping[str, Array]) -> dict[str, FigureSpec]:
        """Figures of errors along several columns."""
        return {f"by_{name}": self.get_column_spec(name, x) for name, x in columns.items()}

    def plot_figures(
        self, by: Mapping[str, ArrayLike] | None = None
    ) -> dict[str, tuple[FigureSpec, Figure]]:
        """All figures of the target with their section and caption.

        Parameters
        ----------
        by : mapping of str to array_like of shape (n,), optional
            Columns of the catalogue along which errors are shown, by label of the axis.

        Returns
        -------
        dict of str to (FigureSpec, Figure)
            Empty where no row can be scored.
        """
        if not len(self):
            return {}
        columns = {}
        for name, values in (by or {}).items():
            column = np.asarray(values, np.float64)[self.rows]
            if np.isfinite(column).any():
                columns[name] = column
        return plot_specs({**self.get_figure_specs(), **self.get_column_specs(columns)}, self)

    def figures(self, by: Mapping[str, ArrayLike] | None = None) -> dict[str, Figure]:
        """All figures of the target by name; see `plot_figures`."""
        return {name: figure for name, (_, figure) in self.plot_figures(by).items()}

    @abstractmethod
    def stamps(self, count: int = 12) -> dict[str, list[Stamp]]:
        """Objects worth looking at: the most certain, the most uncertain, the largest errors.

        Rows without a label can be certain or uncertain, but are no errors.

        `count` is the number of objects of each sort.
        """

    def calibration_data(self) -> Array | None:
        """Data of a calibration figure; None for kinds without one."""
        return None

    # Baselines

    @classmethod
    @abstractmethod
    def fit_baselines(
        cls, target: Target, encoded: ArrayLike, weight: ArrayLike
    ) -> tuple[Baseline, ...]:
        """Baselines fitted on the labels of the training split alone."""

    @classmethod
    def fit_column_baseline(
        cls, target: Target, name: str, values: ArrayLike, encoded: ArrayLike, weight: ArrayLike
    ) -> Baseline | None:
        """A baseline fitted on one column as well; None for kinds without one."""
        return None

    def _choose_stamps(
        self,
        describe: Callable[[int], Stamp],
        uncertainty: Array,
        error: Array,
        labelled: NDArray[np.bool_],
        count: int,
        worst: str = "largest errors",
    ) -> dict[str, list[Stamp]]:
        """Stamps of the smallest and largest uncertainty, and of labelled objects by error."""
        by_error = np.argsort(-error, kind="stable")
        picks = {
            "most certain": np.argsort(uncertainty, kind="stable")[:count],
            "most uncertain": np.argsort(-uncertainty, kind="stable")[:count],
            worst: by_error[labelled[by_error]][:count],
        }
        return {kind: [describe(i) for i in chosen] for kind, chosen in picks.items()}

    # Several targets of this kind

    @classmethod
    def is_groupable(cls, target: Target) -> bool:
        """Whether many such targets may be grouped in one table and joint figures."""
        return False

    @classmethod
    def joint_scores(cls, evaluations: Sequence[TargetEvaluation], **options: int) -> list[Score]:
        """Scores over several targets of this kind; `options` are those of `scores`."""
        return []

    @classmethod
    def plot_joint_figures(
        cls, evaluations: Sequence[TargetEvaluation]
    ) -> dict[str, tuple[FigureSpec, Figure]]:
        """Figures of several targets of this kind."""
        return {}

    @staticmethod
    def _score_questions(
        statistic: Statistic, n: int, n_excluded: int, lack: str, note: str, **options: int
    ) -> list[Score]:
        """A score over several targets, with its bootstrap interval."""
        score = metrics.bootstrap({"questions_rmse": statistic}, n, **options)["questions_rmse"]
        reason = f"{n_excluded} {lack}" if n_excluded else ""
        return [replace(score, n_excluded=n_excluded, reason=reason, note=note)]


def plot_specs(specs: Mapping[str, FigureSpec], data: Any) -> dict[str, tuple[FigureSpec, Figure]]:
    """Figures of what they are plotted from, without those that do not apply."""
    plotted = ((name, spec, spec.plot(data)) for name, spec in specs.items())
    return {name: (spec, figure) for name, spec, figure in plotted if figure is not None}


def join_notes(*notes: str) -> str:
    """Notes of one score, separated by semicolons."""
    return "; ".join(note for note in notes if note)
