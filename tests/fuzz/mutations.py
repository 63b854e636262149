"""Damage files at random and see that readers bear it.

A `Reader` makes small valid files in a folder and reads them.  One trial damages one of the files
and calls the reader: it may give a result or raise an `AstrocnnError`, and anything else, a time
above `SECONDS` or memory above `MEMORY`, is a failure.  A trial depends on the name of the reader
and its own number alone, so that each can be repeated.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from astrocnn.errors import AstrocnnError

SECONDS = 5.0
MEMORY = 1 << 30
BLOCK = 2880
ODD_VALUES = (
    b"-1", b"0", b"1", b"2", b"7", b"999", b"1000000000", b"-2147483648", b"9223372036854775807",
    b"18446744073709551616", b"1E400", b"-0.0", b"1.5", b"NaN", b"Infinity", b"T", b"F", b"''",
    b"'", b"'A'", b"'\xe9\xff'", b"", b"null", b"[]", b"{}", b'"x"', b"1e9999", b"(1,2)",
)  # fmt: skip
SIZES = (
    b"NAXIS", b"NAXIS1", b"NAXIS2", b"NAXIS3", b"BITPIX", b"PCOUNT", b"GCOUNT", b"TFIELDS",
    b"TFORM1", b"TFORM2", b"TDIM1", b"THEAP", b"ZNAXIS", b"ZNAXIS1", b"ZNAXIS2", b"ZTILE1",
    b"ZTILE2", b"ZBITPIX", b"ZCMPTYPE", b"ZIMAGE", b"BLANK", b"BSCALE", b"BZERO", b"XTENSION",
    b"EXTNAME", b"EXTVER", b"GROUPS", b"SIMPLE", b"EXTEND",
)  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """Files that a public function reads.

    Parameters
    ----------
    make : callable
        Writes small valid files into a folder, each of which is damaged in turn.
    read : callable
        Reads what is in the folder of the file that was damaged, whose path it is given.
    """

    make: Callable[[Path], object]
    read: Callable[[Path], object]


class TooSlow(BaseException):
    """Raised by the alarm; no reader catches it."""


class Trials:
    """Trials of one reader in a temporary folder.

    Parameters
    ----------
    name : str
        Of the reader; part of the seed.
    reader : Reader
        What is tried.
    folder : Path
        Empty, on a fast disk.
    """

    def __init__(self, name: str, reader: Reader, folder: Path) -> None:
        self.name, self.reader = name, reader
        reader.make(folder)
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        self.originals = {path: path.read_bytes() for path in files}
        for path in files:
            # What cannot be read undamaged would test nothing.
            reader.read(path)

    def damaged(self, number: int) -> tuple[Path, bytes]:
        """The file that a trial damages, and its new contents."""
        rng = np.random.default_rng([zlib.crc32(self.name.encode()), number])
        path = list(self.originals)[int(rng.integers(len(self.originals)))]
        return path, mutate(self.originals[path], rng)

    def run(self, number: int) -> str | None:
        """Make a trial; None if it went well, else what happened."""
        path, data = self.damaged(number)
        path.write_bytes(data)
        before = _peak_memory()
        start = time.monotonic()
        problem = None
        try:
            with alarm(SECONDS), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.reader.read(path)
        except AstrocnnError:
            pass
        except TooSlow:
            problem = f"took more than {SECONDS} s\n{traceback.format_exc()}"
        except Exception:
            problem = traceback.format_exc()
        finally:
            path.write_bytes(self.originals[path])
        taken = _peak_memory() - before
        if problem is None and taken > MEMORY + len(data):
            problem = f"took {taken / 1e9:.1f} GB and {time.monotonic() - start:.1f} s"
        if problem is None:
            return None
        return f"{self.name}, trial {number}, file {path.name}: {problem}"


def try_reader(name: str, reader: Reader, folder: Path, numbers: range) -> list[str]:
    """Make trials of a reader and return the failures."""
    trials = Trials(name, reader, folder)
    return [problem for number in numbers if (problem := trials.run(number)) is not None]


@contextlib.contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise `TooSlow` in this thread after some time of the processor, or waiting for long."""

    def ring(signum: int, frame: object) -> None:
        raise TooSlow

    # The clock on the wall would measure how busy the machine is.
    timers = (
        (signal.SIGPROF, signal.ITIMER_PROF, seconds),
        (signal.SIGALRM, signal.ITIMER_REAL, 20 * seconds),
    )
    previous = [signal.signal(number, ring) for number, _, _ in timers]
    for _, timer, limit in timers:
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for (number, timer, _), handler in zip(timers, previous, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def _peak_memory() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage some bytes in one to three ways; compressed ones are mostly damaged inside."""
    if data[:2] == b"\x1f\x8b" and rng.random() < 0.8:
        return gzip.compress(mutate(gzip.decompress(data), rng), 1)
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        ways = [*GENERAL, *(FITS * 2 if data[:6] == b"SIMPLE" else ())]
        if data[:4] == b"\x89PNG":
            ways += [change_png_header] * 4
        elif _is_text(data):
            ways += [change_value, change_value, change_token, change_token]
        if data:
            data = ways[int(rng.integers(len(ways)))](data, rng)
    return data


def _is_text(data: bytes) -> bool:
    return b"\0" not in data[:1000]


def _place(data: bytes, rng: np.random.Generator) -> int:
    # Headers stand in front, and damage there has more consequences.
    end = len(data) if rng.random() < 0.5 else min(len(data), 2 * BLOCK)
    return int(rng.integers(max(1, end)))


def flip_bits(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip up to eight bits."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        changed[_place(data, rng)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def set_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Overwrite up to sixteen bytes in a row with random or extreme ones."""
    at, length = _place(data, rng), int(rng.integers(1, 17))
    random = rng.bytes(length)
    new = [random, b"\xff" * length, b"\0" * length, b"\x7f" + b"\xff" * (length - 1)]
    return data[:at] + new[int(rng.integers(4))] + data[at + length :]


def truncate(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut off the end."""
    return data[: _place(data, rng)]


def insert_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Insert up to a hundred random bytes."""
    at = _place(data, rng)
    return data[:at] + rng.bytes(int(rng.integers(1, 100))) + data[at:]


def move_block(data: bytes, rng: np.random.Generator) -> bytes:
    """Duplicate, remove, or overwrite a part with another."""
    length = int(rng.choice([80, 512, BLOCK]))
    n_blocks = max(1, len(data) // length)
    a, b = (int(k) * length for k in rng.integers(n_blocks, size=2))
    block = data[a : a + length]
    return [
        data[:b] + block + data[b:],
        data[:a] + data[a + length :],
        data[:b] + block + data[b + length :],
        data + block,
    ][int(rng.integers(4))]


def change_card(data: bytes, rng: np.random.Generator) -> bytes:
    """Give a FITS header card an odd value."""
    places = [
        at for at in range(0, len(data) - 80, 80) if data[at + 8 : at + 10] == b"= "
    ]  # fmt: skip
    sizes = [at for at in places if data[at : at + 8].rstrip() in SIZES]
    chosen = sizes if sizes and rng.random() < 0.7 else places
    if not chosen:
        return flip_bits(data, rng)
    at = chosen[int(rng.integers(len(chosen)))]
    value = ODD_VALUES[int(rng.integers(len(ODD_VALUES)))]
    if rng.random() < 0.3:
        value = str(int(rng.integers(-4, 5000))).encode()
    return data[: at + 10] + value.rjust(20).ljust(70)[:70] + data[at + 80 :]


def insert_card(data: bytes, rng: np.random.Generator) -> bytes:
    """Overwrite a header card with another, of which some matter that were not there."""
    at = 80 * int(rng.integers(max(1, min(len(data) // 80, 72))))
    more = (
        b"CPDIS1",
        b"D2IMDIS1",
        b"A_ORDER",
        b"LONPOLE",
        b"RADESYS",
        b"EQUINOX",
        b"PV1_1",
        b"CD1_1",
    )
    more += (b"CTYPE1", b"CTYPE3", b"CUNIT1", b"CRPIX1", b"CRVAL2", b"CDELT1", b"MAGZERO", b"BUNIT")
    keys = SIZES + more + (b"END", b"CONTINUE", b"HIERARCH A B", b"COMMENT", b"", b"\xe9")
    key = keys[int(rng.integers(len(keys)))]
    value = ODD_VALUES[int(rng.integers(len(ODD_VALUES)))]
    card = key.ljust(8) + b"= " + value.rjust(20)
    return data[:at] + card.ljust(80)[:80] + data[at + 80 :]


def change_png_header(data: bytes, rng: np.random.Generator) -> bytes:
    """Change size, depth or color type of a PNG, with the checksum that belongs to it."""
    if len(data) < 33:
        return flip_bits(data, rng)
    header = bytearray(data[12:29])
    at = int(rng.choice([4, 8, 12, 13, 14, 15, 16]))
    if at < 12:
        header[at : at + 4] = int(rng.choice([0, 1, 17, 65535, 1 << 31 - 1])).to_bytes(4, "big")
    else:
        header[at] = int(rng.choice([0, 1, 2, 3, 4, 6, 8, 16, 255]))
    return data[:12] + bytes(header) + zlib.crc32(header).to_bytes(4, "big") + data[33:]


def change_value(data: bytes, rng: np.random.Generator) -> bytes:
    """Replace a number or a word of a text by an odd one."""
    words = list(_WORD.finditer(data))
    if not words:
        return flip_bits(data, rng)
    word = words[int(rng.integers(len(words)))]
    value = ODD_VALUES[int(rng.integers(len(ODD_VALUES)))]
    return data[: word.start()] + value + data[word.end() :]


def change_token(data: bytes, rng: np.random.Generator) -> bytes:
    """Remove, double or replace a character that structures a text."""
    tokens = [at for at, byte in enumerate(data) if byte in b"{}[]<>\",;:\n\t'|#&=/ "]
    if not tokens:
        return flip_bits(data, rng)
    at = tokens[int(rng.integers(len(tokens)))]
    new = (b"", data[at : at + 1] * 2, b"\0", b"\r", b'"', b"[" * 3000, b"\xef\xbb\xbf", b"&x;")
    return data[:at] + new[int(rng.integers(len(new)))] + data[at + 1 :]


_WORD = re.compile(rb'"[^"\n]*"|[+-]?[0-9][0-9.eE+-]*|true|false|null|[A-Za-z_]\w*')
GENERAL: tuple[Callable[[bytes, np.random.Generator], bytes], ...] = (
    flip_bits,
    set_bytes,
    truncate,
    insert_bytes,
    move_block,
)
FITS: tuple[Callable[[bytes, np.random.Generator], bytes], ...] = (
    change_card,
    change_card,
    insert_card,
)


def run_in_folder(name: str, reader: Reader, numbers: range) -> list[str]:
    """As `try_reader`, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="fuzz_") as folder:
        return try_reader(name, reader, Path(folder), numbers)
