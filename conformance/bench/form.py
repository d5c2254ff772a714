"""Figures as people read them."""

from __future__ import annotations


def human_seconds(seconds: float) -> str:
    """Show three digits, and a unit that suits."""
    unit, factor = next(
        ((unit, factor) for unit, factor in (("s", 1.0), ("ms", 1e3)) if seconds * factor >= 1), ("µs", 1e6)
    )
    value = seconds * factor
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"


def human_ratio(ratio: float) -> str:
    """Show two decimals, as far as they mean anything."""
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}" if ratio < 100 else f"{ratio:.0f}"


def megabytes(nbytes: int | None) -> str:
    """Show three digits of megabytes."""
    if nbytes is None:
        return "–"
    return f"{nbytes / 1e6:.{0 if nbytes >= 100_000_000 else 1}f}"
