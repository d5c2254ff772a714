"""`python -m conformance fuzz`: hunt for a while, show the smallest disagreement, and save it if asked to.

Owns the options.
"""

from __future__ import annotations

import secrets

import click

from conformance.cases import found
from conformance.fuzz.comparing import Readers
from conformance.fuzz.hunting import hunt
from conformance.fuzz.showing import shown, vector

DISAGREED = 1
"""Exit status: the two differ about something."""


@click.command()
@click.option("--minutes", type=click.FloatRange(min=0), default=1.0, show_default=True, help="How long.")
@click.option("--seed", type=click.IntRange(min=0), help="Draw the same as before. Default: a new one.")
@click.option("--save", is_flag=True, help="Save a disagreement as a vector, below conformance/cases/found.")
def command(*, minutes: float, seed: int | None, save: bool) -> None:
    """Compare this package with tensorstore on arrays that are drawn, written and broken at random.

    Exit status: 0 they agree, 1 they do not.
    """
    first_seed = secrets.randbelow(2**32) if seed is None else seed
    click.echo(f"seed {first_seed}")
    readers = Readers()
    try:
        hunted = hunt(readers.check, first_seed, 60 * minutes)
    finally:
        readers.close()
    click.echo(f"{hunted.examples} arrays in {hunted.seconds:.0f} s")
    for why, count in sorted(readers.explained.items()):
        click.echo(f"  known, {count} times: {why}")
    if hunted.disagreement is None:
        click.echo("no disagreement")
        return
    click.echo(shown(hunted.disagreement))
    if save:
        path = found.save(vector(hunted.disagreement, first_seed), found.FOUND)
        click.echo(f"saved as {path}: judge it, edit it, and run `python -m conformance generate`")
    click.get_current_context().exit(DISAGREED)
