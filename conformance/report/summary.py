"""The Markdown summary of results, and its place between two markers in a README."""

from __future__ import annotations

from collections import Counter
from typing import Final

from conformance.report.outcomes import UNTRIED
from conformance.run.results import Described, Part, Results

BEGIN: Final = "<!-- summary: written by `python -m conformance report --readme` -->"
END: Final = "<!-- /summary -->"
_HEAD: Final = (
    "| implementation | version | vectors: right | silently wrong data | damage accepted | crash or hang "
    "| refused | writers × readers: right | updates: right |"
)


def summary(results: Results) -> str:
    """Summarise results in a Markdown table, an implementation a line; the same for the same results."""
    lines = [_HEAD, "|---|---|" + "---:|" * 7]
    lines += [_line(results, one) for one in results.implementations]
    hosted = Counter(cell.implementation for cell in results.cells if cell.host)
    lines += [
        f"\n{_cell(name)}: without the {count} results that its host has without it as well."
        for name, count in sorted(hosted.items())
    ]
    return "\n".join(lines) + "\n"


def _line(results: Results, one: Described) -> str:
    name = f"{one.name} ({one.language})" if one.language else one.name
    if one.absent is not None:
        return f"| {_cell(name)} | absent: {_cell(one.absent)} |" + " – |" * 7
    count = _count(results, "vectors", one)
    failures = [
        count["wrong_data"],
        count["accepted"],
        count["crash"] + count["hang"],
        count["refused"],
    ]
    shown = [
        _share(count),
        f"**{failures[0]}**" if failures[0] else "0",
        *map(str, failures[1:]),
        _share(_count(results, "matrix", one)),
        _share(_count(results, "updates", one)),
    ]
    return f"| {_cell(name)} | {_cell(one.version or '')} | " + " | ".join(shown) + " |"


def _count(results: Results, part: Part, one: Described) -> Counter[str]:
    """How many results of each outcome an implementation has in a part, a host's own aside."""
    return Counter(
        cell.outcome
        for cell in results.cells
        if cell.part == part and cell.implementation == one.name and not cell.host
    )


def _share(count: Counter[str]) -> str:
    """Passes out of what was tried."""
    tried = count.total() - sum(count[outcome.key] for outcome in UNTRIED)
    return f"{count['pass']} of {tried}" if tried else "–"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def place(readme: str, block: str) -> str:
    """Put a block between the markers of a README's text, in place of what is there.

    Raises
    ------
    ValueError
        The markers are not there, once each and in order.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in before + after:
        raise ValueError(f"expected the lines {BEGIN} and {END}, once each and in this order")
    return f"{before}{BEGIN}\n{block}{END}{after}"
