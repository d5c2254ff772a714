"""Progress bars on standard error, by rich. Loaded only where a bar is shown: that is slow.

Owns how they look; whether one is shown is the business of `output` and `moving`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from zarr_shard_codec.cli.output import human_nbytes
from zarr_shard_codec.packing.report import Step


@contextmanager
def bar_of_bytes(description: str, total_nbytes: int) -> Iterator[Callable[[int], None]]:
    """Show bytes and their speed; call what is yielded with bytes done since."""
    with _bar(DownloadColumn(binary_units=True), TransferSpeedColumn()) as bar:
        task = bar.add_task(description, total=total_nbytes)
        yield lambda nbytes: bar.advance(task, nbytes)


@contextmanager
def bar_of_chunks(verb: str) -> Iterator[Callable[[Step], None]]:
    """Show chunks, and the bytes that move: first while moving, then while checking."""
    with _bar(MofNCompleteColumn(), TextColumn("chunks  {task.fields[moved]}")) as bar:
        tasks = {
            phase: bar.add_task(words, total=None, moved="", visible=False, start=False)
            for phase, words in (("moving", verb), ("checking", "checking"))
        }
        started: dict[str, float] = {}
        moved = dict.fromkeys(tasks, 0)

        def tell(step: Step) -> None:
            task = tasks[step.phase]
            if step.phase not in started:
                started[step.phase] = time.perf_counter()
                bar.start_task(task)
            moved[step.phase] += step.nbytes
            seconds = time.perf_counter() - started[step.phase] or 1e-9
            speed = f"{human_nbytes(moved[step.phase])}, {human_nbytes(moved[step.phase] / seconds)}/s"
            bar.update(task, total=step.total_chunks, advance=step.n_chunks, moved=speed, visible=True)

        yield tell


def _bar(*columns: ProgressColumn) -> Progress:
    # What is printed meanwhile appears above the bar; a standard output that leads elsewhere is left alone.
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *columns,
        TimeRemainingColumn(),
        console=Console(stderr=True, highlight=False),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
    )
