"""One line per epoch on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys

__all__ = ["report"]


def report(row: dict[str, float], epochs: int, improved: bool) -> None:
    """Show an epoch, when standard error is a terminal.

    Parameters
    ----------
    row : dict
        Of the history.
    epochs : int
        How many there are at most.
    improved : bool
        Whether it is the best so far, which is marked.
    """
    if not sys.stderr.isatty():
        return
    from rich.console import Console

    hidden = ("epoch", "seconds", "learning_rate")
    values = "  ".join(f"{k} [b]{v:.4g}[/b]" for k, v in row.items() if k not in hidden)
    mark = "[green]best[/green]" if improved else ""
    Console(stderr=True, highlight=False).print(
        f"epoch {row['epoch']:.0f}/{epochs}  {values}  "
        f"[dim]rate {row['learning_rate']:.2g}  {row['seconds']:.1f} s[/dim]  {mark}"
    )
