"""Atomic writing of files and folders, and the cache folder.

Write to a temporary name in the same folder, fsync, rename, fsync the folder: a reader never sees
half a file and a crash leaves at most a temporary one, whose name begins with ``.tmp-``.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = [
    "cache_folder",
    "exclusive",
    "remove_leftovers",
    "replacing",
    "replacing_folder",
    "restore_folder",
    "sha256",
    "temporary_folder",
    "write_bytes",
    "write_text",
]

_PREFIX = ".tmp-"
_OLD = ".old-"
_AT_CWD = -100
_EXCHANGE = 2


def cache_folder() -> Path:
    """Path of the cache: ``$XDG_CACHE_HOME/astrocnn``, or ``~/.cache/astrocnn``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "astrocnn"


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], *, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary path; on success it becomes `path`, on any failure it is removed.

    The temporary name keeps the suffixes of `path`, so that writers which look at the
    extension behave.  Missing parent folders are made.  A symbolic link is written through.

    Parameters
    ----------
    path : path-like
    sync : bool
        Wait until it is on the disk.  Without, the file may be damaged after a loss of power, which
        its reader has to recognize.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, handle = _locked_temporary(path)
    try:
        yield temporary
        if sync:
            _fsync(temporary)
        # mkstemp makes files for the owner alone; the user's umask shall apply instead.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        if sync:
            _fsync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty folder; on success it becomes `path`, on any failure it is removed.

    A folder that is there already is replaced, in one step where the system can exchange two
    names; elsewhere `restore_folder` brings it back if the process ended between two steps.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    restore_folder(path)
    remove_leftovers(path.parent, glob.escape(path.name))
    temporary = Path(tempfile.mkdtemp(prefix=_PREFIX, suffix=f"-{path.name}", dir=path.parent))
    handle = os.open(temporary, os.O_RDONLY)
    _lock(handle)
    try:
        temporary.chmod(0o777 & ~_umask())
        yield temporary
        for entry in (*temporary.iterdir(), temporary):
            _fsync(entry)
        if not path.exists():
            temporary.rename(path)
        elif _exchange(temporary, path):
            shutil.rmtree(temporary)
        else:
            old = path.with_name(temporary.name.replace(_PREFIX, _OLD, 1))
            path.rename(old)
            temporary.rename(path)
            shutil.rmtree(old, ignore_errors=True)
        _fsync(path.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    finally:
        os.close(handle)


@contextlib.contextmanager
def temporary_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty folder beside `path`, which is removed in the end.

    Several processes have one each; those that ended processes left behind are removed.
    """
    path = Path(os.path.realpath(path))
    remove_leftovers(path.parent, glob.escape(path.name))
    temporary = Path(tempfile.mkdtemp(prefix=_PREFIX, suffix=f"-{path.name}", dir=path.parent))
    handle = os.open(temporary, os.O_RDONLY)
    _lock(handle)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(handle)


def restore_folder(path: str | os.PathLike[str]) -> None:
    """Bring back a folder whose replacement ended between moving it away and taking its place.

    One that was replaced, but not removed, is removed.
    """
    path = Path(path)
    if not path.parent.is_dir():
        return
    for old in path.parent.glob(f"{_OLD}????????-{glob.escape(path.name)}"):
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            # Another process may be faster.
            with contextlib.suppress(OSError):
                old.rename(path)


def remove_leftovers(folder: str | os.PathLike[str], pattern: str = "*") -> None:
    """Remove temporary files and folders that ended processes left behind.

    Those that a living process is writing to are locked by it, and stay.

    Parameters
    ----------
    folder : path
        Where the files are that were written.
    pattern : str
        Glob pattern of their names.
    """
    for path in Path(folder).glob(f"{_PREFIX}????????-{pattern}"):
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
            finally:
                os.close(handle)


@contextlib.contextmanager
def exclusive(path: str | os.PathLike[str], *, wait: bool = False) -> Iterator[bool]:
    """Lock a file; yield whether this process holds the lock.

    The system gives it back when a process ends, however it ends, so that a file that is left
    behind locks nothing.  Where a file system has no locks, everyone holds it.

    Parameters
    ----------
    path : path-like
        Made if it is missing, and never removed.
    wait : bool
        Wait until no other process holds it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as stream:
        held = True
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            held = False
        except OSError:
            pass
        yield held


def write_bytes(path: str | os.PathLike[str], data: bytes, *, sync: bool = True) -> None:
    """Write bytes atomically; see `replacing`."""
    with replacing(path, sync=sync) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode("utf-8"))


def sha256(path: str | os.PathLike[str]) -> str:
    """Hexadecimal SHA-256 of a file's contents, read in blocks."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _locked_temporary(path: Path) -> tuple[Path, int]:
    """A new temporary file beside `path`, and the descriptor that holds its lock."""
    while True:
        handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=f"-{path.name}", dir=path.parent)
        _lock(handle)
        # Between its creation and its lock another process may have taken it for a leftover.
        if os.fstat(handle).st_nlink:
            return Path(name), handle
        os.close(handle)


def _lock(handle: int) -> None:
    # Some network file systems have no locks; there no leftover is ever removed either.
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _umask() -> int:
    # The umask can only be read by setting it.
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names in one step; False where the system or file system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    names = os.fsencode(first), os.fsencode(second)
    return bool(rename(_AT_CWD, names[0], _AT_CWD, names[1], _EXCHANGE) == 0)
