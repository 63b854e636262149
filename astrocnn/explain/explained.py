"""What the chapters on the inside of a network are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["FEW", "Explanations", "Learned", "Looked", "Scalars", "TopFilters", "method_name"]

FEW = 30
"""Scalars up to which each has its name in figures and a column in tables; more are a spectrum."""

_NAMES = {"grad_cam": "Grad-CAM", "smooth_grad": "SmoothGrad", "deconvnet": "DeconvNet"}


def method_name(method: str) -> str:
    """What stands in figures and tables for a method."""
    return _NAMES.get(method, method.replace("_", " "))


@dataclass(frozen=True, eq=False)
class Scalars:
    """What a network takes that looks at no image; maps of it are one pixel high.

    Parameters
    ----------
    names, units : sequence of str of length n_scalars
        Of each scalar; an empty unit where there is none.
    values : ndarray of shape (n, n_scalars)
        As in the catalogue.
    standardized : ndarray of shape (n, n_scalars)
        As the network takes them: less the mean of the training set, in its standard deviations.
    """

    names: Sequence[str]
    units: Sequence[str]
    values: Any
    standardized: Any


@dataclass(frozen=True, eq=False)
class Looked:
    """Where the network looked for one output, on some objects, and the checks of those maps.

    Parameters
    ----------
    output : str
        The number explained: the `label` of an `astrocnn.explain.Output`, or words where it is
        another one for each object ("logit of the predicted class").
    images : ndarray of shape (n, height, width, n_bands)
        Flux, NaN where there is no data; of no use where the network takes scalars alone.
    maps : mapping of str to ndarray of shape (n, height, width) or (n, height, width, n_bands)
        Of each method, by its name; of scalars, images one pixel high.
    labels : sequence of str
        What is said beside each object: identifier, truth, prediction; lines broken by ``\\n``.
    curves : mapping of str to object, optional
        Of each method: ``fraction`` of shape (steps + 1,) and ``deletion``, ``insertion``,
        ``random_deletion``, ``random_insertion`` of shape (n, steps + 1).
    stages : sequence of str, optional
        Layers in the order in which they were given random weights, from the output down.
    randomization : mapping of str to ndarray of shape (n, n_stages), optional
        Rank correlation of each method's map with that of the network randomized so far.
    shifts : mapping of str to ndarray of shape (n,), optional
        Correlation with the map of the image moved by one pixel.
    shares : mapping of str to ndarray of shape (n, n_bands), optional
        Part of the attribution in each band, or of each scalar.
    along : (str, ndarray of shape (n,)), optional
        Words for the axis and values to draw the shares against: the redshift, for instance.
    pointing : mapping of str to object, optional
        Of each method where the cause is known: ``inside``, ``expected`` and ``hit``, of shape
        (n,): the part of the attribution in the true region, the part of the pixels, and whether
        the highest pixel lies there.
    """

    output: str
    images: Any
    maps: Mapping[str, Any]
    labels: Sequence[str]
    curves: Mapping[str, Any] = field(default_factory=dict)
    stages: Sequence[str] = ()
    randomization: Mapping[str, Any] = field(default_factory=dict)
    shifts: Mapping[str, Any] = field(default_factory=dict)
    shares: Mapping[str, Any] = field(default_factory=dict)
    along: tuple[str, Any] | None = None
    pointing: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class TopFilters:
    """Where some filters of a layer answer most, as `astrocnn.explain.top_activations` finds it.

    Parameters
    ----------
    layer : str
        Its name.
    channels : sequence of int of length n_filters
        Index of each filter.
    patches : sequence of sequence of ndarray of shape (height, width, n_bands)
        Receptive fields for each filter, the highest answer first; NaN outside the image.
    reconstructions : sequence of sequence of ndarray, optional
        What a deconvolutional network puts into the same pixels.
    values : ndarray of shape (n_filters, count)
        The answers.
    """

    layer: str
    channels: Sequence[int]
    patches: Sequence[Sequence[Any]]
    reconstructions: Sequence[Sequence[Any]] | None
    values: Any


@dataclass(frozen=True, eq=False)
class Learned:
    """What the network as a whole has learned.

    Parameters
    ----------
    kernels : ndarray of shape (height, width, n_bands, n_filters), optional
        Of the first convolution.
    maps : mapping of str to ndarray of shape (height, width, n_filters), optional
        Feature maps of one image, by layer.
    image : ndarray of shape (height, width, n_bands), optional
        That image.
    top : sequence of TopFilters
        By layer.
    class_images : mapping of str to ndarray of shape (height, width, n_bands), optional
        The image that each class likes most.
    dreams : (ndarray, ndarray), optional
        Images before and after, each of shape (n, height, width, n_bands).
    points : ndarray of shape (n, 2), optional
        Objects as the last layer sees them, brought to two dimensions.
    method : str
        By which: "PCA", with its share of the variance, "t-SNE", "UMAP".
    colors : mapping of str to ndarray of shape (n,), optional
        What to color the points by, by the words for it; text for classes, numbers for others.
    thumbnails : ndarray of shape (n, height, width, n_bands), optional
        Image of each point.
    """

    kernels: Any = None
    maps: Mapping[str, Any] = field(default_factory=dict)
    image: Any = None
    top: Sequence[TopFilters] = ()
    class_images: Mapping[str, Any] = field(default_factory=dict)
    dreams: tuple[Any, Any] | None = None
    points: Any = None
    method: str = ""
    colors: Mapping[str, Any] = field(default_factory=dict)
    thumbnails: Any = None


@dataclass(frozen=True, eq=False)
class Explanations:
    """All that the chapters on the inside of a network are made of.

    Parameters
    ----------
    bands : sequence of str
        Names of the bands.
    looked : sequence of Looked
        One for each output explained.
    learned : Learned, optional
        About the network as a whole.
    pixel_scale : float, optional
        [arcsec/pixel]
    channels : sequence of str, optional
        What the last axis of maps, shares and kernels counts, where a network takes masks or
        mixtures of bands; the bands by default.
    orientation : str
        Where the sky lies on the images, if all are alike: "N up, E left".
    unit : str
        Of the images.
    scalars : Scalars, optional
        Of the objects that were looked at, if the network takes them and no image.
    """

    bands: Sequence[str]
    looked: Sequence[Looked] = ()
    learned: Learned | None = None
    pixel_scale: float | None = None
    channels: Sequence[str] = ()
    orientation: str = ""
    unit: str = ""
    scalars: Scalars | None = None
