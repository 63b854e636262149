"""What can be wrong with one row: a bit mask declared once.

Each row of every catalogue, shard and prediction table carries an int32 ``flags`` column.
The bits, their sentences in the documentation and the cards in FITS headers all come from
this one enumeration.
"""

from __future__ import annotations

import enum

__all__ = ["Flag", "UNUSABLE", "describe"]


class Flag(enum.IntFlag):
    """Reasons why a row deserves attention; several can be set at once."""

    sentence: str

    def __new__(cls, bit: int, sentence: str = "") -> Flag:
        member = int.__new__(cls, bit)
        member._value_ = bit
        member.sentence = sentence
        return member

    BAD_COORDINATES = 1 << 0, "RA or Dec is missing, not finite or out of range"
    NO_COVERAGE = 1 << 1, "no image covers the position"
    PARTLY_OUTSIDE = 1 << 2, "part of the cutout lies outside the image"
    NO_DATA_PIXELS = 1 << 3, "pixels inside the image have no data (NaN, masked, zero weight)"
    BAND_MISSING = 1 << 4, "at least one band has no data at all"
    BAND_PARTIAL = 1 << 5, "more than half of the pixels of at least one band have no data"
    FILE_MISSING = 1 << 6, "the image file of this object is missing"
    FILE_UNREADABLE = 1 << 7, "the image file of this object cannot be read as an image"
    SIZE_MISMATCH = 1 << 8, "the image of this object was cropped or padded to the stamp size"
    LABEL_MISSING = 1 << 9, "at least one label is missing"
    SCALAR_MISSING = 1 << 10, "at least one scalar input is missing or not finite"
    NOT_PREDICTED = 1 << 11, "no prediction could be made; the predicted columns are NaN"
    NOVEL = 1 << 12, "unlike the validation objects: novelty is 0.99 or more"


UNUSABLE: Flag = (
    Flag.BAD_COORDINATES
    | Flag.NO_COVERAGE
    | Flag.FILE_MISSING
    | Flag.FILE_UNREADABLE
    | Flag.SCALAR_MISSING
)
"""A row with any of these has no image or no input: it is neither trained on nor predicted."""


def describe(mask: int) -> list[str]:
    """Sentences of all bits set in a mask, lowest bit first.

    >>> describe(3)
    ['RA or Dec is missing, not finite or out of range', 'no image covers the position']
    """
    return [flag.sentence for flag in Flag if mask & flag.value]
