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
        Its true class, empty when there is no label.
    said : str
        Its most probable class.
    probability, spread : float
        Mean and standard deviation over draws of the probability of that class.
    mutual_info : float
        Disagreement of the draws [nat].
    """

    row: int
    label: str
    said: str
    probability: float
    spread: float
    mutual_info: float

    @property
    def wrong(self) -> bool:
        """Whether there is a label and it is another."""
        return bool(self.label) and self.label != self.said
