"""What has become far slower since results that were kept.

Owns the comparison of two runs, maybe of two machines and two Pythons. What one peer takes is comparable if
it is there in both, set up alike: zarr-python with another pipeline is another peer.
"""

from __future__ import annotations

from dataclasses import dataclass

from conformance.bench.results import Cell, Results
from conformance.bench.subjects import OURS, is_peer

TOLERATED = 0.5
"""Of the ratio from before. Noise is large: this finds what was broken, not what has aged."""


@dataclass(frozen=True, slots=True)
class Regression:
    """A cell that has become far slower.

    Attributes
    ----------
    before, now
        How many times as long the fastest peer took, and takes, of those that are comparable. Now is None
        if this package could not be measured.
    """

    name: str
    before: float
    now: float | None


def comparable_peers(now: Results, before: Results) -> set[str]:
    """Peers that both runs have, set up alike."""
    setups = {one.name: one.setup for one in before.subjects if one.setup is not None}
    return {one.name for one in now.subjects if is_peer(one.name) and one.setup == setups.get(one.name, "")}


def regressions(now: Results, before: Results) -> tuple[int, list[Regression]]:
    """Find cells whose ratio to the fastest comparable peer is less than `TOLERATED` of what it was.

    Returns
    -------
    int
        How many cells could be compared: those that both runs have, with a comparable peer in both.
    list of Regression
        Which ones are far slower.
    """
    comparable = comparable_peers(now, before)
    kept = {cell.name: cell for cell in before.cells}
    compared, found = 0, []
    for cell in now.cells:
        then = kept.get(cell.name)
        peers = set() if then is None else comparable & set(then.peers)
        if then is None or not peers:
            continue
        if OURS not in cell.times:
            compared += 1
            found.append(Regression(cell.name, _ratio(then, peers), None))
            continue
        peers &= set(cell.peers)
        if not peers:
            continue
        compared += 1
        was, is_ = _ratio(then, peers), _ratio(cell, peers)
        if is_ < TOLERATED * was:
            found.append(Regression(cell.name, was, is_))
    return compared, found


def _ratio(cell: Cell, peers: set[str]) -> float:
    return min(ratio for name, ratio in cell.peers.items() if name in peers)
