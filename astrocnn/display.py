"""How objects show themselves: one line in a console, a small table in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

__all__ = ["Displayed"]


class Displayed:
    """Base of classes that say in a few facts what they are.

    A subclass defines ``_facts``; dataclasses are made with ``repr=False``.
    """

    def _facts(self) -> Mapping[str, object]:
        """What to show, by name; None and empty text are left out."""
        raise NotImplementedError

    def _lines(self) -> list[tuple[str, str]]:
        facts = self._facts().items()
        return [(name, _format(value)) for name, value in facts if value not in (None, "", ())]

    def __repr__(self) -> str:
        facts = "; ".join(f"{name} {value}" for name, value in self._lines())
        return f"<{type(self).__name__}: {facts}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th>"
            f"<td style='text-align:left'>{escape(value)}</td></tr>"
            for name, value in self._lines()
        )
        return (
            "<table><caption style='color:inherit; caption-side:top; text-align:left'>"
            f"{escape(type(self).__name__)}</caption>{rows}</table>"
        )


def _format(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, (tuple, list)):
        items = [str(item) for item in value]
        more = f" and {len(items) - 8} more" if len(items) > 8 else ""
        return ", ".join(items[:8]) + more
    return str(value)
