"""One object of a gallery: where it stands, and what is said about it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Stamp"]


@dataclass(frozen=True)
class Stamp:
    """An object to look at.

    Parameters
    ----------
    row : int
        Its row among those handed in, by which the caller reads its image.
    label : str
        Its true class or value, empty when there is none.
    said : str
        What was predicted.
    detail : str
        How sure, in a few words.
    wrong : bool
        Whether the prediction counts as an error.
    """

    row: int
    label: str
    said: str
    detail: str
    wrong: bool

    @property
    def words(self) -> str:
        """Truth and prediction where they differ, else what both say."""
        if not self.label or self.label == self.said:
            return self.said
        return f"{self.label} \u2192 {self.said}"
