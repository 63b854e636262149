"""Attribution maps with their checks, as they are computed, written and plotted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras
from astrocnn.errors import ModelError
from astrocnn.explain.checks import DeletionInsertion, Pointing, band_fractions
from astrocnn.explain.checks import deletion as check_deletion
from astrocnn.explain.checks import randomization as check_randomization
from astrocnn.explain.checks import shift as check_shift
from astrocnn.explain.methods import AttributionMethod
from astrocnn.explain.network import compute_scores, validate_square
from astrocnn.explain.target import ExplainTarget

__all__ = [
    "CHECKS",
    "MAX_NAMED_SCALARS",
    "Attribution",
    "ExplainedObjects",
    "Explanation",
    "MapChecks",
    "Scalars",
    "compute_attribution",
]

CHECKS = ("deletion", "shift", "randomization")
"""Checks of a map; the fraction of each band costs nothing and is always there."""

MAX_NAMED_SCALARS = 30
"""Scalars up to which each has its name in figures and a column in tables; more are a spectrum."""

N_RANDOMIZED = 3
"""Objects whose maps are computed again under weight randomization, spread over all."""
_STAGES = 3
_STEPS, _ORDERS = 12, 3
_SMALLEST_SHIFTED = 8

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Scalars:
    """Inputs of a network that takes no image; maps of it are one pixel high."""

    names: Sequence[str]
    units: Sequence[str]
    """Of each scalar; the unit may be empty."""
    values: Array
    """As in the catalogue, of shape (n, n_scalars)."""
    standardized: Array
    """Minus the mean of the training set, in its standard deviations."""


@dataclass(frozen=True, eq=False)
class ExplainedObjects:
    """The n objects that are explained."""

    ids: Any
    rows: Any
    """Of the catalogue."""
    ra: Any = None
    dec: Any = None
    """ICRS [deg], if known."""
    images: Any = None
    """Flux [`unit`] of shape (n, height, width, n_bands), NaN where there is no data; of no use
    where there are `scalars`."""
    wcs: Sequence[Any] = ()
    """WCS of each image, or None."""
    bands: Sequence[str] = ()
    channels: Sequence[str] = ()
    """Names along the last axis of a map: the bands, and masks or mixtures of them if the network
    takes such; or the scalars, if few."""
    unit: str = ""
    scalars: Scalars | None = None
    """If the network takes them and no image."""
    pixel_scale: float | None = None
    """[arcsec/pixel]"""
    orientation: str = ""
    """Common orientation of all images, if there is one: "N up, E left"."""

    def channel_names(self, count: int) -> Sequence[str]:
        """Names of the channels or bands, or their numbers if `count` fits neither."""
        for names in (self.channels, self.bands):
            if len(names) == count:
                return names
        return [str(i) for i in range(count)]


@dataclass(eq=False)
class MapChecks:
    """Checks of the maps of one method; None where a check was not made."""

    residual: Array | None = None
    """Change of the target minus the sum of the attributions, of shape (n,)."""
    curves: DeletionInsertion | None = None
    shift: Array | None = None
    """Correlation with the map of the image moved by one pixel, of shape (n,)."""
    randomization: Array | None = None
    """Rank correlation with the map of the network with random weights, of shape (n, n_stages);
    NaN for objects left out."""
    fractions: Array | None = None
    """Fraction of the attribution in each band, or of each scalar, of shape (n, n_channels)."""
    pointing: Pointing | None = None
    """Where the cause is known."""


@dataclass(eq=False)
class Attribution:
    """Maps of several methods for one number of each of n objects, with their checks."""

    label: str
    """The explained output: `ExplainTarget.label`."""
    objects: ExplainedObjects | None = None
    name: str = ""
    """The target predicted."""
    labels: Sequence[str] = ()
    """The explained output of each object."""
    scores: Any = None
    """Its value, of shape (n,)."""
    truths: Sequence[str] = ()
    """The label of each object in words, empty where unknown."""
    predictions: Sequence[str] = ()
    """The prediction of each object in words."""
    maps: dict[str, Array] = field(default_factory=dict)
    """By method, of shape (n, height, width) or (n, height, width, n_channels)."""
    checks: dict[str, MapChecks] = field(default_factory=dict)
    """By method."""
    stages: Sequence[str] = ()
    """Layers in the order in which they were randomized, from the output down."""
    layer: str = ""
    """The layer explained, if it is one."""
    along: tuple[str, Any] | None = None
    """A predicted quantity along which fractions are shown: its name and n values."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Why a method is left out."""

    def check(self, name: str) -> dict[str, Any]:
        """One check of all methods for which it was made."""
        values = {method: getattr(checks, name) for method, checks in self.checks.items()}
        return {method: value for method, value in values.items() if value is not None}

    @property
    def captions(self) -> list[str]:
        """Identifier, label and prediction of each object, on a line each."""
        ids = [""] * len(self.truths) if self.objects is None else self.objects.ids
        captions = []
        for one, truth, prediction in zip(ids, self.truths, self.predictions, strict=True):
            text = str(one)
            text = text if len(text) <= 20 else f"{text[:8]}...{text[-8:]}"
            prediction = prediction.replace("+-", "\u00b1")
            lines = (text, truth and f"label {truth}", prediction and f"predicted {prediction}")
            captions.append("\n".join(filter(None, lines)))
        return captions


@dataclass(eq=False)
class Explanation:
    """Attributions and inspections of a network, as written to disk and plotted."""

    objects: ExplainedObjects
    attributions: Sequence[Attribution] = ()
    """One for each explained output, all of the same objects."""
    inspections: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """HDUs of the whole network, by method."""
    cards: Mapping[str, Any] = field(default_factory=dict)
    """Provenance: values of the primary header."""
    images: Callable[[Any], Any] | None = None
    """From rows of the catalogue to images."""


def compute_attribution(
    model: keras.Model,
    images: Any,
    target: ExplainTarget,
    methods: Mapping[str, AttributionMethod],
    *,
    scalars: Any = None,
    checks: Sequence[str] = (),
    sampler: Callable[[keras.Model], keras.Model] | None = None,
    square: int | None = None,
) -> tuple[Attribution, Iterator[str]]:
    """Maps of several methods, and checks of each.

    Parameters
    ----------
    model, images, target, scalars
        See `astrocnn.explain.methods`.
    methods : mapping of str to AttributionMethod
        See `astrocnn.explain.methods.select_methods`.
    checks : sequence of str
        Some of `CHECKS`.
    sampler : callable, optional
        For an uncertainty: makes a network that returns draws from `model`.
    square : int, optional
        Side of the square that hides a part of the image [pixel], for methods that have one.

    Returns
    -------
    attribution : Attribution
        Without objects; filled while the steps are taken.
    steps : iterator of str
        Computes one map or check at a time, and names it: exhaust it.

    Raises
    ------
    ModelError
        If the network lacks the target, or the square is larger than the image.
    """
    images = np.asarray(images, np.float32)
    if any(method.square for method in methods.values()):
        validate_square(square, *images.shape[1:3])
    network = model if sampler is None else sampler(model)
    attribution = Attribution(
        target.label,
        name=target.name,
        layer=target.layer or "",
        labels=target.labels(len(images)),
        scores=compute_scores(network, images, target, scalars=scalars),
    )
    work = _Computation(attribution, model, network, images, target, scalars, sampler)
    return attribution, work.steps(methods, checks, square)


@dataclass(eq=False)
class _Computation:
    """Arrays shared by the maps and their checks."""

    attribution: Attribution
    model: keras.Model
    network: keras.Model
    images: NDArray[np.float32]
    target: ExplainTarget
    scalars: Any
    sampler: Callable[[keras.Model], keras.Model] | None

    @property
    def is_strip(self) -> bool:
        return bool(self.images.shape[1] == 1)

    def steps(
        self, methods: Mapping[str, AttributionMethod], checks: Sequence[str], square: int | None
    ) -> Iterator[str]:
        for name, method in methods.items():
            scalars, pixels = method.report_options_scalars, method.report_options
            options = dict(scalars if self.is_strip else pixels)
            if method.square and square is not None:
                options[method.square] = square
            self._compute_map(name, partial(method.compute, **options))
            yield name
            for check in checks:
                if name in self.attribution.maps:
                    map_checks, maps = self.attribution.checks[name], self.attribution.maps[name]
                    getattr(self, f"_{check}")(map_checks, partial(method, **options), maps)
                yield f"{name}: {check}"

    def _compute_map(self, name: str, compute: Callable[..., Any]) -> None:
        try:
            result = compute(self.network, self.images, self.target, scalars=self.scalars)
        except ModelError as error:
            self.attribution.skipped[name] = error.what
            return
        maps = np.asarray(getattr(result, "attribution", result))
        if maps.shape[:3] != self.images.shape[:3]:
            self.attribution.skipped[name] = f"Its maps have the shape {maps.shape}."
            return
        # Each scalar counts as a band.
        by_band = maps.reshape(len(maps), 1, 1, -1) if self.is_strip else maps
        self.attribution.maps[name] = maps
        self.attribution.checks[name] = MapChecks(
            residual=getattr(result, "residual", None),
            fractions=band_fractions(by_band) if by_band.ndim == 4 else None,
        )

    def _deletion(self, checks: MapChecks, _: Any, maps: Array) -> None:
        inputs = self.network, self.images, self.target
        steps = min(_STEPS, self.images.shape[1] * self.images.shape[2])
        checks.curves = check_deletion(
            *inputs, maps, scalars=self.scalars, steps=steps, draws=_ORDERS
        )

    def _shift(self, checks: MapChecks, compute: Callable[..., Array], maps: Array) -> None:
        if min(self.images.shape[1:3]) >= _SMALLEST_SHIFTED:
            inputs = self.network, self.images, self.target
            checks.shift = check_shift(
                compute, *inputs, scalars=self.scalars, maps=maps, moves=((1, 1),)
            )[:, 0]

    def _randomization(self, checks: MapChecks, compute: Callable[..., Array], maps: Array) -> None:
        n = len(self.images)
        # Rank correlations of few scalars are noisy, and their maps are cheap: use more objects.
        count = min(n, (8 if self.is_strip else 1) * N_RANDOMIZED)
        rows = np.unique(np.linspace(0, n - 1, count).round().astype(int))
        target = subset = self.target.take(rows)
        if self.sampler is not None:
            # Only the wrapped model can be cloned, not the layers that draw.
            method, sampler, target = compute, self.sampler, subset.one_draw

            def compute(model: keras.Model, images: Any, _: Any, **options: Any) -> Array:
                return method(sampler(model), images, subset, **options)

        scalars = None if self.scalars is None else self.scalars[rows]
        inputs = self.model, self.images[rows], target
        result = check_randomization(
            compute, *inputs, scalars=scalars, maps=maps[rows], stages=_STAGES
        )
        self.attribution.stages = result.stages
        checks.randomization = np.full((n, len(result.stages)), np.nan)
        checks.randomization[rows] = result.correlation
