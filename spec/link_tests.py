"""Write into requirements.toml which tests hold each requirement, as their markers say.

Run from anywhere: python spec/link_tests.py. Changes the `tests` lists and nothing else.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
REQUIREMENTS: Final = ROOT / "spec" / "requirements.toml"
_ENTRY: Final = re.compile(r'^id = "([^"]+)"\n((?:(?!\[\[).*\n)*?)tests = \[[^\]]*\]', re.MULTILINE)


def requirements() -> list[dict[str, Any]]:
    """All requirements, as the file has them."""
    found: list[dict[str, Any]] = tomllib.loads(REQUIREMENTS.read_text())["requirement"]
    return found


def marked_tests() -> dict[str, list[str]]:
    """For each id that a marker names: the node ids, without parameters, of the tests that carry it."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        node_id = path.relative_to(ROOT).as_posix()
        for identifier, test in _marks_below(ast.parse(path.read_text()), node_id):
            found.setdefault(identifier, []).append(test)
    return found


def _marks_below(parent: ast.Module | ast.ClassDef, node_id: str) -> Iterator[tuple[str, str]]:
    for node in parent.body:
        if isinstance(node, ast.ClassDef):
            yield from _marks_below(node, f"{node_id}::{node.name}")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                match decorator:
                    case ast.Call(func=ast.Attribute(attr="requirement"), args=arguments):
                        yield from ((ast.literal_eval(a), f"{node_id}::{node.name}") for a in arguments)


def main() -> None:
    """Bring requirements.toml up to date."""
    tests = marked_tests()

    def filled(entry: re.Match[str]) -> str:
        lines = "".join(f'  "{test}",\n' for test in tests.get(entry[1], []))
        return f'id = "{entry[1]}"\n{entry[2]}tests = [' + (f"\n{lines}]" if lines else "]")

    REQUIREMENTS.write_text(_ENTRY.sub(filled, REQUIREMENTS.read_text()))


if __name__ == "__main__":
    main()
