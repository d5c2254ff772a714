"""`python -m conformance run`: run the suite, show and save what came of it.

Owns the options and the exit status.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from pathlib import Path

import click
from rich.console import Console

from conformance.bench.machine import cores
from conformance.cases.corpus import Case, corpus
from conformance.implementations import HOSTS, PLACES, Place, command_place, is_ours
from conformance.run.arrays import Sample, samples
from conformance.run.crossing import ORACLES
from conformance.run.junit import save_junit
from conformance.run.results import PARTS
from conformance.run.running import Plan, run
from conformance.run.serving import LIMIT
from conformance.run.summary import losses, show, show_losses

LOSS = 1
"""Exit status: an implementation that it is about lost a cell."""
TABLE_WIDTH = 132
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option(
    "--implementation",
    "names",
    multiple=True,
    metavar="NAME",
    help=f"Only this one; may be repeated. One of {', '.join(PLACES)}, or the --name of the --command.",
)
@click.option("--case", "pattern", metavar="TEXT", help="Only vectors and arrays whose name contains it.")
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="Only this; may be repeated.")
@click.option(
    "--command", "program", metavar="'PROGRAM …'", help="Also this program, run with --array_path=PATH."
)
@click.option("--name", default="command", show_default=True, help="What results call the --command.")
@click.option("--json", "target", type=_FILE, help="Save the results, for `python -m conformance report`.")
@click.option("--junit", type=_FILE, help="Save them as JUnit XML, for continuous integration.")
@click.option("--jobs", type=click.IntRange(min=1), help="Implementations that work at once. Default: cores.")
@click.option(
    "--limit",
    type=click.FloatRange(min=0.1),
    default=LIMIT,
    show_default=True,
    help="Seconds an operation may take.",
)
def command(
    *,
    names: tuple[str, ...],
    pattern: str | None,
    parts: tuple[str, ...],
    program: str | None,
    name: str,
    target: Path | None,
    junit: Path | None,
    jobs: int | None,
    limit: float,
) -> None:
    """Have every implementation that is installed read, write and update the same arrays.

    Needs `pip install 'zarr-shard-codec[conformance]'`. Exit status: 0 if none of those lost a cell that
    --implementation names (or else this package, and the --command), 1 if one did, 2 bad usage.
    """
    # Python's tracker of semaphores says so when a process is ended that had some (numcodecs makes two).
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")
    places = _places(names, program, name)
    cases, drawn = _selected(pattern)
    progress = Console(stderr=True, highlight=False)
    plan = Plan(
        places=places,
        judges={oracle: PLACES[oracle] for oracle in ORACLES if oracle not in places},
        parts=[part for part in PARTS if part in parts or not parts],
        cases=cases,
        samples=drawn,
        jobs=jobs or cores(),
        limit=limit,
    )
    with tempfile.TemporaryDirectory(prefix="conformance-") as scratch:
        results = run(plan, Path(scratch), progress.print)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=TABLE_WIDTH)
    chosen = names or [one for one in places if is_ours(one) or one == name]
    show(results, console, listed=list(chosen))
    show_losses(results, console)
    if target is not None:
        results.save(target)
    if junit is not None:
        save_junit(results, junit)
    if losses(results, chosen):
        click.get_current_context().exit(LOSS)


def _places(names: tuple[str, ...], program: str | None, name: str) -> dict[str, Place]:
    known = dict(PLACES)
    if program is not None:
        if name in known:
            raise click.UsageError(f"--name: {name} is another implementation; choose one of your own")
        try:
            words = shlex.split(program)
        except ValueError as error:
            raise click.UsageError(f"--command: {error}") from None
        if not words:
            raise click.UsageError("--command: expected a program")
        known[name] = command_place(words, "as given")
    unknown = [one for one in names if one not in known]
    if unknown:
        raise click.UsageError(f"no implementation {unknown[0]!r}; there are {', '.join(known)}")
    hosts = [HOSTS[one] for one in names if one in HOSTS]  # whose row tells what is its own doing
    return {one: place for one, place in known.items() if not names or one in (*names, *hosts)}


def _selected(pattern: str | None) -> tuple[list[Case], list[Sample]]:
    try:
        cases = corpus()
    except FileNotFoundError as error:
        raise click.ClickException(str(error)) from None
    drawn = samples()
    if pattern is not None:
        cases = [case for case in cases if pattern in case.name]
        drawn = [sample for sample in drawn if pattern in sample.name]
        if not cases and not drawn:
            raise click.UsageError(f"--case: no vector and no array has {pattern!r} in its name")
    return cases, drawn
