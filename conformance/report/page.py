"""The HTML page: one file that holds results, script and style, and asks no network for anything.

Owns what data the page gets. How they are shown is `page.html`'s business, and that of the scripts and the
style beside it.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from conformance.report.outcomes import HOST, OUTCOMES, UNTRIED
from conformance.run.results import Cell, Results

_HERE: Final = Path(__file__).parent
_SCRIPTS: Final = ("model.js", "dom.js", "grid.js", "panel.js", "overview.js", "main.js")
REQUIREMENTS: Final = _HERE.parents[1] / "spec" / "requirements.toml"
VECTORS: Final = _HERE.parent / "vectors"


def page(results: Results, cases: Mapping[str, Any], requirements: list[dict[str, Any]]) -> str:
    """Make the page.

    Parameters
    ----------
    results
        What it shows.
    cases
        The vectors' `case.json` by id, for titles, reasons and selections. Results of a case that is not
        among them are shown by its id.
    requirements
        The `requirement` tables of `spec/requirements.toml`, in their order.

    Returns
    -------
    str
        HTML, the same for the same arguments.
    """
    script = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    # In a script element "<" could begin its end tag; as an escape it is the same JSON.
    data = json.dumps(_data(results, cases, requirements), ensure_ascii=False, separators=(",", ":"))
    parts = {
        "style": (_HERE / "page.css").read_text(encoding="utf-8"),
        "data": data.replace("<", "\\u003c"),
        "script": script,
    }
    html = (_HERE / "page.html").read_text(encoding="utf-8")
    for name, text in parts.items():
        before, marker, after = html.partition(f"@@{name}@@")
        assert marker, name
        html = before + text + after
    return html


def read_cases(vectors: Path) -> dict[str, Any]:
    """Read what describes each vector, by the vector's id."""
    return {
        path.parent.name: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(vectors.glob("*/case.json"))
    }


def read_requirements(path: Path) -> list[dict[str, Any]]:
    """Read the list of requirements, in its order."""
    tables: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))["requirement"]
    return tables


def _data(results: Results, cases: Mapping[str, Any], requirements: list[dict[str, Any]]) -> dict[str, Any]:
    texts = _Texts()
    return {
        "machine": results.machine,
        "implementations": [asdict(one) for one in results.implementations],
        "outcomes": [{**asdict(one), "tried": one not in UNTRIED} for one in OUTCOMES],
        "sections": list(_sections(requirements)),
        "cases": {
            cell.case: _case(cases.get(cell.case, {}), cell.requirements)
            for cell in sorted(results.cells, key=lambda cell: cell.case)
            if cell.part == "vectors"
        },
        "results": [_row(cell, texts) for cell in results.cells],
        "texts": texts.all,
    }


def _sections(requirements: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for title, group in groupby(requirements, lambda one: one["section"]):
        kept = [{key: one[key] for key in ("id", "level", "text")} for one in group]
        yield {"title": title, "requirements": kept}


def _case(case: Mapping[str, Any], requirements: tuple[str, ...]) -> dict[str, Any]:
    shown = {key: case[key] for key in ("title", "expect", "why", "reason", "made_by") if key in case}
    selections = [_selection_text(one["selection"]) for one in case.get("selections", [])]
    return {**shown, "selections": selections, "requirements": list(requirements)}


def _selection_text(selection: list[Any]) -> str:
    """Write a selection as NumPy does: `[0:4, 7, ::2]`."""
    items = []
    for item in selection:
        if isinstance(item, list):
            start, stop, step = item
            items.append(f"{start}:{stop}" if step == 1 else f"{start}:{stop}:{step}")
        else:
            items.append(str(item))
    return f"[{', '.join(items)}]" if items else "[()]"


def _outcome(cell: Cell) -> str:
    return HOST.key if cell.host else cell.outcome


class _Texts:
    """Texts by number: results repeat theirs thousands of times."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, text: str | None) -> int | None:
        if not text:
            return None
        if text not in self._numbers:
            self._numbers[text] = len(self.all)
            self.all.append(text)
        return self._numbers[text]


def _row(cell: Cell, texts: _Texts) -> list[Any]:
    """One result as a list; `model.js` knows the order."""
    number = texts.number
    row = [
        *(number(text) for text in (cell.part, cell.implementation, cell.case, _outcome(cell))),
        cell.selection,
        number(cell.writer),
        number(cell.updater),
        number(cell.expected),
        number(cell.got) if isinstance(cell.got, str) else cell.got,
        number(cell.message),
        None if cell.operation == "read" else number(cell.operation),
    ]
    while row[-1] is None:
        row.pop()
    return row
