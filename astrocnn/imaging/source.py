"""Where cutouts come from: one protocol for tiles, stamps and arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from astrocnn import plugins
from astrocnn.display import Displayed
from astrocnn.errors import ConfigError, ImageError
from astrocnn.imaging.cutouts import Cutouts, allocate_stack, compute_flags, drop_infinite
from astrocnn.imaging.files import compute_digest, sample_rows
from astrocnn.imaging.survey import Survey

__all__ = ["ArraySource", "NoImages", "Source", "get_cutout_wcs", "get_state", "open_source"]


@runtime_checkable
class Source(Protocol):
    """Anything that gives cutouts by row number.

    A source returns one cutout for each requested row in every case: a problem with an object is a
    flag (`astrocnn.flags.Flag`) and NaN where there are no pixels, never an
    exception.  Cutouts depend on the row alone, not on the rows beside it.  `read` may be called
    from several threads and processes.

    A file that holds a source offers ``source(survey, *, ra, dec, columns, size, **options)``,
    which `open_source` calls: a function or the class itself.  It is found by the ``kind`` of a
    survey (see `astrocnn.plugins`): a module of `astrocnn.imaging.sources`, an entry point in the
    group ``astrocnn.sources``, ``module:attribute`` or ``path/to/file.py:attribute``.

    Attributes
    ----------
    bands : tuple of str
        Names of the last axis of the images, in the order of the survey.
    size : int
        Side of the cutouts [pixel].
    pixel_scale : float or None
        [arcsec/pixel]
    unit : str or None
        Of the pixel values.
    """

    bands: tuple[str, ...]
    size: int
    pixel_scale: float | None
    unit: str | None

    def __len__(self) -> int:
        """Number of rows."""
        ...

    @property
    def fingerprint(self) -> str:
        """Digest that changes with the images, found without reading all of them."""
        ...

    def order(self) -> np.ndarray:
        """Permutation (int64) of the rows that visits each file once."""
        ...

    def read(self, rows: npt.ArrayLike, out: np.ndarray | None = None) -> Cutouts:
        """Cut the given rows, in their order; into `out` if it is given."""
        ...


class DisplayedSource(Displayed):
    """Base of sources that show what their cutouts are."""

    def _facts(self: Any) -> dict[str, object]:
        scale = self.pixel_scale
        return {
            "objects": len(self),
            "pixels": f"{self.size} x {self.size}",
            "bands": self.bands,
            "pixel scale": None if scale is None else f"{scale:.4g} arcsec",
            "unit": self.unit,
        }


class ArraySource(DisplayedSource):
    """Cutouts that are in memory already.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_bands) or (n, height, width)
        Square images; NaN and infinity mean no data.  May be memory-mapped.
    bands : sequence of str
        Names of the last axis.
    pixel_scale : float, optional
        [arcsec/pixel]
    unit : str, optional
        Of the pixel values.

    Raises
    ------
    ImageError
        If the shape does not fit.

    Examples
    --------
    >>> source = ArraySource(np.ones((3, 8, 8)), ["r"])
    >>> source.read([2]).images.shape
    (1, 8, 8, 1)
    """

    def __init__(
        self,
        images: np.ndarray,
        bands: Sequence[str],
        pixel_scale: float | None = None,
        unit: str | None = None,
    ) -> None:
        bands = (bands,) if isinstance(bands, str) else tuple(bands)
        # Not copied: the array may be mapped, and larger than the memory.
        images = images if isinstance(images, np.ndarray) else np.asarray(images)
        if images.ndim == 3:
            images = images[..., None]
        if images.ndim != 4 or images.shape[1] != images.shape[2]:
            raise ImageError(
                "Images in memory have the axes (object, y, x, band), with square cutouts.",
                received=images.shape,
            )
        if images.shape[-1] != len(bands):
            raise ImageError(
                f"There are {images.shape[-1]} bands in the images and {len(bands)} names.",
                received=bands,
            )
        if images.dtype.kind not in "fiub":
            raise ImageError("Images in memory must be numbers.", received=images.dtype)
        self.images = images
        self.bands = bands
        self.size = int(images.shape[1])
        self.pixel_scale = pixel_scale
        self.unit = unit

    def __len__(self) -> int:
        return len(self.images)

    @property
    def fingerprint(self) -> str:
        """Digest of the names, the shape and the pixels of some objects."""
        # A sample, because `state` compares all pixels, chunk by chunk.
        some = np.ascontiguousarray(self.images[sample_rows(len(self.images))])
        pixels = hashlib.sha256(some.tobytes()).hexdigest()
        return compute_digest((self.bands, self.images.shape, some.dtype.str, pixels))

    def state(self, rows: npt.ArrayLike) -> str:
        """Digest of the pixels of some rows."""
        return hashlib.sha256(self.images[np.asarray(rows, np.int64)].tobytes()).hexdigest()

    def order(self) -> np.ndarray:
        """Rows as they are."""
        return np.arange(len(self), dtype=np.int64)

    def read(self, rows: npt.ArrayLike, out: np.ndarray | None = None) -> Cutouts:
        """Copy the given rows, in their order; into `out` if it is given."""
        rows = np.asarray(rows, np.int64)
        images = allocate_stack((len(rows), *self.images.shape[1:]), out)
        # Numbers beyond float32 become infinite, and then no data.
        with np.errstate(over="ignore", invalid="ignore"):
            images[...] = self.images[rows]
        counts = drop_infinite(images)
        n_pixels = self.size**2
        # An array has no border, so that nothing lies outside.
        flags = compute_flags(counts, np.zeros_like(counts), n_pixels)
        return Cutouts(images, flags, (counts / n_pixels).astype(np.float32))


class NoImages:
    """A `Source` of nothing, for models that take catalogue columns only.

    Parameters
    ----------
    n : int
        Rows of the catalogue.

    Examples
    --------
    >>> NoImages(5).read([0, 3]).images.shape
    (2, 0, 0, 0)
    """

    bands: tuple[str, ...] = ()
    size: int = 0
    pixel_scale: float | None = None
    unit: str | None = None

    def __init__(self, n: int) -> None:
        self._n = int(n)

    def __len__(self) -> int:
        return self._n

    @property
    def fingerprint(self) -> str:
        """Digest of the number of rows."""
        return compute_digest(("no images", self._n))

    def order(self) -> np.ndarray:
        """Rows as they are."""
        return np.arange(self._n, dtype=np.int64)

    def read(self, rows: npt.ArrayLike, out: np.ndarray | None = None) -> Cutouts:
        """Images without a pixel, without any flag."""
        n = len(np.asarray(rows, np.int64))
        images = allocate_stack((n, 0, 0, 0), out)
        return Cutouts(images, np.zeros(n, np.int32), np.zeros((n, 0), np.float32))


def get_state(source: Source, rows: npt.ArrayLike) -> str:
    """Digest that changes when the images of some rows are written anew.

    It is of the lengths and times of their files, so that it costs much less than the images.
    A copy of the files that does not keep their times counts as new.

    Parameters
    ----------
    source : Source
        One without a method ``state`` never changes.
    rows : array of shape (n,)
        Which.
    """
    # Optional, so that a source of a user needs few methods.
    state: Callable[[npt.ArrayLike], str] | None = getattr(source, "state", None)
    return "" if state is None else state(rows)


def get_cutout_wcs(source: Source, row: int) -> WCS | None:
    """Get the celestial WCS of the pixels of one cutout.

    Parameters
    ----------
    source : Source
        Where the cutouts come from; one without a method ``wcs`` has no coordinates.
    row : int
        Which one.

    Returns
    -------
    astropy.wcs.WCS or None
        That of the reference band; None where the position on the sky is unknown: pictures,
        arrays, files without coordinates, objects that no tile covers.
    """
    wcs: Callable[[int], WCS | None] | None = getattr(source, "wcs", None)
    return None if wcs is None else wcs(int(row))


def open_source(
    survey: Survey,
    ra: npt.ArrayLike | None = None,
    dec: npt.ArrayLike | None = None,
    columns: Mapping[str, npt.ArrayLike] | None = None,
    size: int = 64,
    *,
    source: Callable[..., Source] | str | None = None,
    trusted: bool = False,
    **options: Any,
) -> Source:
    """Open the source of a survey.

    Parameters
    ----------
    survey : Survey
        Says what its images are, and by its kind how they are read.
    ra, dec : array of shape (n,), optional
        ICRS positions [deg]; needed for tiles.
    columns : mapping of str to array, optional
        Catalogue columns; stamps need those in their file names.
    size : int
        Side of the cutouts [pixel].
    source : callable or str, optional
        What opens it, in place of the kind of the survey; see `Source`.
    trusted : bool
        Whether the code that the survey names may be imported; see `astrocnn.plugins`.
    **options
        Passed on: `workers` (threads), and for tiles `cache_bytes`.

    Raises
    ------
    ConfigError
        If positions or columns are missing, or there is no such kind of source.
    ImageError
        If a tile cannot be used.
    """
    # A size may come from a division as 32.0, which is a whole number.
    if isinstance(size, bool) or not isinstance(size, Real) or int(size) != size or size < 1:
        raise ConfigError("The size of the cutouts is a whole number of pixels.", received=size)
    factory = plugins.load("sources", survey.kind if source is None else source, trusted=trusted)
    opened = factory(survey, ra=ra, dec=dec, columns=columns or {}, size=int(size), **options)
    # Here, since a missing method would otherwise show in the middle of a run.
    if not isinstance(opened, Source):
        raise ConfigError(
            f"The survey '{survey.name}' names something that is no source of images.",
            received=f"{survey.kind}: {type(opened).__name__}",
            allowed="an object with bands, size, pixel_scale, unit, fingerprint, len(), order() "
            "and read()",
        )
    return opened
