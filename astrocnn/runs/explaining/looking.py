"""Maps of some objects, and the checks of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrocnn import plugins
from astrocnn.backend import keras
from astrocnn.errors import ModelError
from astrocnn.explain import METHODS, Explained, integrated_gradients, smooth_grad
from astrocnn.explain.checks import DeletionInsertion, band_share, deletion, randomization, shift
from astrocnn.explain.explained import Looked
from astrocnn.explain.methods.occlusion import check_square
from astrocnn.explain.own_answer import Asked, numbers

__all__ = ["CHECKS", "Behind", "Maps"]

CHECKS = ("deletion", "shift", "randomization")
"""Checks of a map; the share of each band costs nothing and is always there."""

_MOVES = ((1, 1),)
_FORGETFUL = 3
"""Objects for which the network forgets, spread over all."""
_STAGES = 3
_STEPS, _ORDERS = 12, 3

Array = NDArray[Any]


class Behind(NamedTuple):
    """The network of which draws are made: its layers can forget, those of the draws cannot."""

    model: keras.Model
    output: Explained
    """An answer to which the layers lead that lead to the number explained."""
    drawing: Callable[[keras.Model], keras.Model]
    """What makes of this network, or of one that has forgotten, one that answers with draws."""

    def asked(self, method: Callable[..., Array], one: Asked) -> Callable[..., Array]:
        """The method on a network with dropout, which maps what its draws answer."""

        def made(model: keras.Model, given: Any, _: Explained, **how: Any) -> Array:
            drawn = one.model if model is self.model else self.drawing(model)
            return method(drawn, given, one.output, **how)

        return made


class Maps:
    """Maps of several methods for one number of each object.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_channels)
        Normalized; one pixel high for scalars alone.
    asked : sequence of Asked
        The number for all objects, in one batch or several.
    methods : sequence of str
        Names from `astrocnn.runs.explaining.methods.map_methods`.
    checks : sequence of str
        Names of `CHECKS` to be made of each map.
    behind : Behind, optional
        Where what is asked answers with draws: the network behind it.
    square : int, optional
        Side of the square that hides a part of the image [pixel]: see `occlusion`.

    Raises
    ------
    ModelError
        If the square is larger than the image.
    """

    def __init__(
        self,
        images: NDArray[np.float32],
        asked: Sequence[Asked],
        methods: Sequence[str],
        checks: Sequence[str] = (),
        behind: Behind | None = None,
        square: int | None = None,
    ) -> None:
        check_square(square, *images.shape[1:3])
        self.square = square
        self.checks = tuple(checks)
        self.behind = behind
        self.images = images
        self.asked = asked
        self.methods = tuple(methods)
        self.maps: dict[str, Array] = {}
        self.residuals: dict[str, Array] = {}
        self.curves: dict[str, DeletionInsertion] = {}
        self.shifts: dict[str, Array] = {}
        self.shares: dict[str, Array] = {}
        self.randomization: dict[str, Array] = {}
        self.stages: tuple[str, ...] = ()
        self.left_out: dict[str, str] = {}

    def work(self) -> list[tuple[str, Callable[[], None]]]:
        """What is to be done, a step at a time, each with its name."""
        steps: list[tuple[str, Callable[[], None]]] = []
        for method in self.methods:
            steps.append((method, partial(self._map, method)))
            for check in self.checks:
                made = partial(self._check, method, getattr(self, f"_{check}"))
                steps.append((f"{method}: {check}", made))
        return steps

    def scores(self) -> Array:
        """The number itself, of shape (n,)."""
        return self._gather(
            lambda one, images: numbers(one.model, images, one.output, scalars=one.scalars)
        )

    def looked(self, output: str, flux: Array, labels: Sequence[str], along: Any) -> Looked:
        """All of it as the report takes it."""
        return Looked(
            output=output,
            images=flux,
            maps=self.maps,
            labels=labels,
            curves=self.curves,
            stages=self.stages,
            randomization=self.randomization,
            shifts=self.shifts,
            shares=self.shares,
            along=along,
        )

    def _map(self, method: str) -> None:
        try:
            if method == "integrated_gradients":
                how = _effort(self.images)
                whole = [
                    integrated_gradients(
                        one.model, self.images[one.rows], one.output, scalars=one.scalars, **how
                    )
                    for one in self.asked
                ]
                self.maps[method] = self._joined([w.attribution for w in whole])
                self.residuals[method] = self._joined([w.residual for w in whole])
            else:
                self.maps[method] = self._gather(
                    lambda one, images: self._method(method)(
                        one.model, images, one.output, scalars=one.scalars
                    )
                )
        except ModelError as error:
            self.left_out[method] = error.what
            return
        made = self.maps[method]
        if _is_strip(self.images):
            # Scalars are to the answer what bands are.
            self.shares[method] = band_share(made.reshape(len(made), 1, 1, -1))
        elif made.ndim == 4:
            self.shares[method] = band_share(made)

    def _check(self, method: str, check: Callable[[str], None]) -> None:
        if method in self.maps:
            check(method)

    def _deletion(self, method: str) -> None:
        n_pixels = self.images.shape[1] * self.images.shape[2]
        found = [
            deletion(
                one.model,
                self.images[one.rows],
                one.output,
                self.maps[method][one.rows],
                scalars=one.scalars,
                steps=min(_STEPS, n_pixels),
                draws=_ORDERS,
            )
            for one in self.asked
        ]
        first = found[0]
        self.curves[method] = DeletionInsertion(
            first.fraction,
            *(self._joined(list(c)) for c in zip(*(f[1:] for f in found), strict=True)),
        )

    def _shift(self, method: str) -> None:
        if min(self.images.shape[1:3]) < 8:
            return
        self.shifts[method] = self._gather(
            lambda one, images: shift(
                self._remembering(method, one, images),
                one.model,
                images,
                one.output,
                scalars=one.scalars,
                moves=_MOVES,
            ).mean(axis=1)
        )

    def _randomization(self, method: str) -> None:
        n = len(self.images)
        # Of scalars each has few numbers to be ranked, and they are soon computed.
        count = min(n, (8 if _is_strip(self.images) else 1) * _FORGETFUL)
        chosen = np.unique(np.linspace(0, n - 1, count).round().astype(int))
        values: Array | None = None
        for one in self.asked:
            mine = np.flatnonzero(np.isin(one.rows, chosen))
            if not len(mine):
                continue
            scalars = None if one.scalars is None else one.scalars[mine]
            few = Asked(one.rows[mine], one.model, scalars, one.output)
            images = self.images[few.rows]
            made, model, output = self._remembering(method, few, images), few.model, few.output
            if self.behind is not None:
                made = self.behind.asked(made, few)
                model, output = self.behind.model, self.behind.output
            found = randomization(made, model, images, output, scalars=scalars, stages=_STAGES)
            if values is None:
                values = np.full((n, len(found.stages)), np.nan)
            values[few.rows] = found.correlation
            self.stages = found.stages
        assert values is not None
        self.randomization[method] = values

    def _remembering(self, method: str, one: Asked, images: Array) -> Callable[..., Array]:
        """The method; for the images themselves the map that is there already."""

        def made(model: Any, given: Any, output: Explained, **how: Any) -> Array:
            if model is one.model and given is images:
                return self.maps[method][one.rows]
            return self._method(method)(model, given, output, **how)

        return made

    def _method(self, name: str) -> Callable[..., Array]:
        """``pixel_map`` of a method, with the numbers of draws and steps that are used here."""
        if name == "integrated_gradients":
            return _attribution
        if name == "smooth_grad":
            return partial(smooth_grad, draws=_DRAWS)
        found: Callable[..., Array] = plugins.load_module(METHODS, name).pixel_map
        return partial(found, size=self.square) if name == "occlusion" else found

    def _gather(self, of: Callable[[Asked, Array], Array]) -> Array:
        return self._joined([of(one, self.images[one.rows]) for one in self.asked])

    def _joined(self, parts: Sequence[Array]) -> Array:
        """Outcomes of the batches in the order of the objects."""
        order = np.argsort(np.concatenate([one.rows for one in self.asked]), kind="stable")
        joined: Array = np.concatenate(parts)[order]
        return joined


_DRAWS = 16


def _effort(images: Array) -> dict[str, int]:
    """Draws of the sky and steps of integrated gradients; scalars have no sky, and are quick."""
    return {"steps": 128} if _is_strip(images) else {"draws": 2, "steps": 24}


def _is_strip(images: Array) -> bool:
    return bool(images.shape[1] == 1)


def _attribution(model: Any, images: Array, output: Explained, **how: Any) -> Array:
    return integrated_gradients(model, images, output, **_effort(images), **how).attribution
