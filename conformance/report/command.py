"""`python -m conformance report`: results as an HTML page, and as the summary in the README."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from conformance.report.loading import ResultsError, load
from conformance.report.page import REQUIREMENTS, VECTORS, page, read_cases, read_requirements
from conformance.report.summary import place, summary

_HERE: Final = Path(__file__).parents[1]
RESULTS: Final = _HERE / "results.json"
README: Final = _HERE / "README.md"

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--from", "source", type=_FILE, default=RESULTS, help="Results of `run --json`.")
@click.option("--html", type=_FILE, help="Write the page to this file: it needs nothing beside it.")
@click.option("--readme", is_flag=True, help="Put the summary into conformance/README.md.")
def command(*, source: Path, html: Path | None, readme: bool) -> None:
    """Show results: a page for people, a summary for the README, or the summary here."""
    try:
        results = load(source)
    except (ResultsError, OSError) as error:
        raise click.ClickException(str(error)) from None
    if html is not None:
        html.write_text(page(results, read_cases(VECTORS), read_requirements(REQUIREMENTS)), encoding="utf-8")
    if readme:
        README.write_text(place(README.read_text(encoding="utf-8"), summary(results)), encoding="utf-8")
    if html is None and not readme:
        click.echo(summary(results), nl=False)
