"""Unpacking archives of stamps."""

from __future__ import annotations

import tarfile
from pathlib import Path

from astrocnn.atomic import write_text
from astrocnn.errors import ImageError

__all__ = ["unpack"]


def unpack(archive: str | Path, folder: str | Path) -> Path:
    """Unpack a tar archive (plain or compressed) into a folder, once.

    A second call with the same, unchanged archive does nothing; an interrupted one is repeated.
    Members that would land outside the folder are refused.

    Parameters
    ----------
    archive : path-like
        The tar file.
    folder : path-like
        Where to; made when missing.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ImageError
        If the archive is missing, damaged or unsafe.
    """
    archive, folder = Path(archive), Path(folder)
    try:
        facts = archive.stat()
    except OSError as error:
        raise ImageError(f"The archive {archive} cannot be read: {error.strerror}.") from error
    done = folder / f".{archive.name}.unpacked"
    mark = f"{facts.st_size} {facts.st_mtime_ns}\n"
    if done.exists() and done.read_text() == mark:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except tarfile.FilterError as error:
        raise ImageError(f"The archive {archive} holds a member that is not safe: {error}.") from (
            error
        )
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ImageError(f"The archive {archive} cannot be unpacked ({error}).") from error
    write_text(done, mark)
    return folder
