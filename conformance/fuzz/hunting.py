"""The hunt: Hypothesis draws until the time is over, or until the two disagree.

Owns seeds, batches and time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hypothesis import HealthCheck, Phase, given, seed, settings

from conformance.fuzz.comparing import Disagreement
from conformance.fuzz.drawing import Drawn, arrays

BATCH: Final = 200
"""Examples a batch; the clock is looked at between batches. Batch n's seed is the hunt's seed + n."""


@dataclass(frozen=True, slots=True)
class Hunted:
    """What came of a hunt: how many arrays were compared, and the smallest disagreement about one."""

    examples: int
    seconds: float
    disagreement: Disagreement | None


def hunt(check: Callable[[Drawn], None], first_seed: int, seconds: float, batch: int = BATCH) -> Hunted:
    """Draw arrays and check them, for that long or until a check raises `Disagreement`, which is shrunk.

    At least one batch is drawn, however short the time.
    """
    examples = 0

    @settings(
        database=None,
        deadline=None,
        max_examples=batch,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(arrays())
    def one_batch(drawn: Drawn) -> None:
        nonlocal examples
        examples += 1
        check(drawn)

    start = time.monotonic()
    number = 0
    while number == 0 or time.monotonic() - start < seconds:
        try:
            seed(first_seed + number)(one_batch)()
        except Disagreement as found:
            return Hunted(examples, time.monotonic() - start, found)
        number += 1
    return Hunted(examples, time.monotonic() - start, None)
