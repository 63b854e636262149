"""Training, validation and test split: by a hash, so that no list of rows must be kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from astropy import units
from astropy_healpix import lonlat_to_healpix
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from astrocnn.errors import ConfigError

__all__ = [
    "SPLITS",
    "assign_file_splits",
    "assign_splits",
    "compute_sky_keys",
    "group_duplicates",
]

SPLITS = ("train", "validation", "test")


def assign_splits(
    keys: np.ndarray | Sequence[int] | Sequence[str],
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
) -> np.ndarray:
    """Assign a split to each row: a pure function of its key and the seed.

    A row keeps its split when others are added, removed or reordered.  The same identifier has
    the same split whether it is stored as an integer or as text.

    Parameters
    ----------
    keys : array of int or str, shape (n,)
        Identifiers, or `compute_sky_keys`, or `group_duplicates`; rows of one key share a split.
    fractions : (float, float, float)
        Expected parts of `SPLITS`; they add up to 1.
    seed : int
        Another seed, another division.

    Returns
    -------
    split : ndarray of int8, shape (n,)
        Index into `SPLITS`.

    Raises
    ------
    ConfigError
        If the fractions are not three non-negative numbers that add up to 1.
    """
    parts = np.asarray(fractions, dtype=float)
    if parts.shape != (3,) or not np.all(parts >= 0) or abs(parts.sum() - 1) > 1e-6:
        raise ConfigError(
            "The fractions of the splits are not three non-negative numbers that add up to 1.",
            received=repr(tuple(fractions)),
            allowed=f"one for each of {', '.join(SPLITS)}, such as (0.8, 0.1, 0.1)",
        )
    edges = np.cumsum(parts)
    # Rounding of the sum must not open a gap that belongs to an empty split.
    edges[np.flatnonzero(parts)[-1] :] = 1.0
    unique, inverse = np.unique(np.asarray(keys), return_inverse=True)
    # Not Python's hash, which differs between processes; the seed is the key of the hash.
    start = hashlib.blake2b(digest_size=8, key=str(int(seed)).encode())
    uniform = np.empty(len(unique))
    for i, key in enumerate(unique.tolist()):
        digest = start.copy()
        digest.update(str(key).encode())
        # The upper 53 bits are what a float64 between 0 and 1 holds exactly.
        uniform[i] = (int.from_bytes(digest.digest(), "big") >> 11) * 2.0**-53
    chosen = np.searchsorted(edges, uniform, side="right").astype(np.int8)
    return chosen[inverse.reshape(-1)]


def assign_file_splits(
    keys: np.ndarray,
    file: np.ndarray,
    files: Sequence[str],
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    contents: np.ndarray | None = None,
) -> np.ndarray:
    """Assign to each row the split of its file.

    Where no file is for validation, training files are divided between training and validation
    by `assign_splits`, in the ratio of the first two fractions.

    Parameters
    ----------
    keys, seed
        As for `assign_splits`.
    file : ndarray of int, shape (n,)
        The file of each row, an index into `files`.
    files : sequence of str
        The split of each file, one of `SPLITS`.
    fractions : (float, float, float)
        Of them only the ratio of training to validation counts.
    contents : ndarray of str, shape (n,), optional
        A hash of what each row shows, as for `group_duplicates`.  Of rows with the same content in
        files of different splits, all go to the first of these splits, so that no test object is
        one of the training objects.

    Returns
    -------
    split : ndarray of int8, shape (n,)
        Index into `SPLITS`.

    Raises
    ------
    ConfigError
        If no training or validation fraction is above 0.
    """
    keys = np.asarray(keys)
    split = np.array([SPLITS.index(name) for name in files], np.int8)[np.asarray(file)]
    if "validation" not in files:
        fitted = fractions[0] + fractions[1]
        if fitted <= 0:
            raise ConfigError(
                "No file is for validation, and the fractions leave none of the training files.",
                received=repr(tuple(fractions)),
                hint="fractions = [0.8, 0.1, 0.1] divides training files in the ratio 8 : 1",
            )
        parts = (fractions[0] / fitted, fractions[1] / fitted, 0.0)
        train = split == 0
        split[train] = assign_splits(keys[train], parts, seed)
    if contents is not None:
        _, code = np.unique(contents, return_inverse=True)
        lowest = np.full(code.max(initial=0) + 1, len(SPLITS), np.int8)
        np.minimum.at(lowest, code, split)
        split = np.where(np.asarray(contents) == "", split, lowest[code])
    return split


def compute_sky_keys(ra: np.ndarray, dec: np.ndarray, resolution: float = 1.0) -> np.ndarray:
    """Compute keys from positions: objects in one patch of the sky share a key, hence a split.

    Patches are the HEALPix pixels (nested order) of the smallest size not below `resolution`.

    Parameters
    ----------
    ra, dec : ndarray of shape (n,)
        ICRS [deg].
    resolution : float
        Least side of a patch [deg].

    Returns
    -------
    keys : ndarray of int64, shape (n,)
        Pixel numbers; -1 where a coordinate is not finite.

    Raises
    ------
    ConfigError
        If the resolution is not between 1e-6 and 58 degrees.

    References
    ----------
    Gorski et al. 2005, ApJ 622, 759.
    """
    coarsest = np.degrees(np.sqrt(4 * np.pi / 12))
    if not 1e-6 <= resolution <= coarsest:
        raise ConfigError(
            "The resolution of the sky patches is out of range.",
            received=f"{resolution} deg",
            allowed=f"1e-6 to {coarsest:.1f} deg",
        )
    nside = 2 ** int(np.log2(coarsest / resolution))
    ra, dec = np.asarray(ra, dtype=float), np.asarray(dec, dtype=float)
    keys = np.full(ra.shape, -1, dtype=np.int64)
    good = np.isfinite(ra) & np.isfinite(dec)
    if good.any():
        keys[good] = lonlat_to_healpix(
            ra[good] * units.deg, dec[good] * units.deg, nside, order="nested"
        )
    return keys


def group_duplicates(keys: np.ndarray, contents: np.ndarray) -> np.ndarray:
    """Give rows with the same content one key: the smallest of theirs.

    Rows that shared a key before still do: two sky patches joined by a duplicate become one.

    Parameters
    ----------
    keys : ndarray of int or str, shape (n,)
    contents : ndarray of shape (n,)
        A hash of what each row shows; an empty text means unknown and joins nothing.

    Returns
    -------
    keys : ndarray of shape (n,), dtype of `keys`

    Raises
    ------
    ConfigError
        If there are not as many keys as contents.
    """
    keys, contents = np.asarray(keys), np.asarray(contents)
    if keys.shape != contents.shape:
        raise ConfigError(
            "Keys and contents differ in length.",
            received=f"{keys.shape} and {contents.shape}",
        )
    unique, key_code = np.unique(keys, return_inverse=True)
    _, content_code = np.unique(contents, return_inverse=True)
    has_content = (
        contents != "" if contents.dtype.kind in "US" else np.ones(len(contents), dtype=bool)
    )
    size = len(unique) + int(content_code.max(initial=-1)) + 1
    edges = (key_code[has_content], len(unique) + content_code[has_content])
    graph = coo_array((np.ones(has_content.sum(), dtype=np.int8), edges), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    # np.unique sorts, so the first key code met in a component is its smallest key.
    first = np.full(size, len(unique), dtype=np.int64)
    np.minimum.at(first, component[: len(unique)], np.arange(len(unique)))
    return unique[first[component[key_code]]]
