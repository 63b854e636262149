"""The FITS checksum convention over files of any size, in blocks.

References
----------
FITS Standard 4.0, section 4.4.2.7 and appendix J; Seaman, Pence & Rots (FITS checksum proposal).
"""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

__all__ = ["add", "encode", "sum_of", "sum_of_file"]

BLOCK = 2880 * 2048
PUNCTUATION = frozenset(b":;<=>?@[\\]^_`")


def add(first: int, second: int) -> int:
    """Ones' complement sum of two numbers: what overflows 32 bits comes back at the bottom."""
    total = first + second
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def sum_of(data: bytes) -> int:
    """Ones' complement sum of big-endian 32-bit words; the length is a multiple of 4."""
    return add(int(np.frombuffer(data, dtype=">u4").sum(dtype=np.uint64)), 0)


def sum_of_file(stream: BinaryIO, start: int, length: int) -> int:
    """Sum of a stretch of a file, reading one block at a time."""
    total = 0
    stream.seek(start)
    while length:
        block = stream.read(min(BLOCK, length))
        if not block:
            raise EOFError(f"the file ends {length} bytes early")
        total = add(total, sum_of(block))
        length -= len(block)
    return total


def encode(total: int) -> str:
    """The sixteen characters of CHECKSUM that bring the sum of an HDU to minus zero.

    Parameters
    ----------
    total : int
        Sum of the whole HDU while CHECKSUM is sixteen zeros.
    """
    complement = ~total & 0xFFFFFFFF
    characters = bytearray(16)
    for i in range(4):
        byte = complement >> (24 - 8 * i) & 0xFF
        quarters = [byte // 4 + ord("0")] * 4
        quarters[0] += byte % 4
        while PUNCTUATION.intersection(quarters):
            # Pairs move in opposite directions, so the sum stays and the signs disappear.
            for j in (0, 2):
                if PUNCTUATION.intersection(quarters[j : j + 2]):
                    quarters[j] += 1
                    quarters[j + 1] -= 1
        for j in range(4):
            characters[4 * j + i] = quarters[j]
    # The value begins at column 12 of its card, one byte before a word.
    return (characters[-1:] + characters[:-1]).decode("ascii")
