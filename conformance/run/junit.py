"""Results as JUnit XML, as continuous integration shows it: a suite a part and implementation, a test a cell.

Owns what counts as a failure there: whatever is a loss. What is unsupported or absent was skipped.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from conformance.run.judging import LOSSES
from conformance.run.results import PARTS, Cell, Described, Results

_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold at all; an error's text may have any."""


def save_junit(results: Results, path: Path) -> None:
    """Write the file."""
    root = ET.Element("testsuites", name="conformance")
    for implementation in results.implementations:
        if implementation.absent is not None:
            _add_absent(root, implementation)
            continue
        own = [one for one in results.cells if one.implementation == implementation.name]
        for part in PARTS:
            cells = [one for one in own if one.part == part]
            if cells:
                _add_suite(root, f"{implementation.name}.{part}", cells)
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _add_suite(root: ET.Element, name: str, cells: list[Cell]) -> None:
    failures = sum(one.outcome in LOSSES for one in cells)
    skipped = sum(one.outcome == "unsupported" for one in cells)
    suite = _suite(root, name, tests=len(cells), failures=failures, skipped=skipped)
    for one in cells:
        test = ET.SubElement(suite, "testcase", classname=name, name=_clean(one.name))
        if one.outcome in LOSSES:
            failure = ET.SubElement(test, "failure", type=one.outcome, message=_clean(f"{one.got}"))
            failure.text = _clean(f"expected: {one.expected}\ngot: {one.got}\n{one.message}")
        elif one.outcome == "unsupported":
            ET.SubElement(test, "skipped", message=_clean(f"{one.got}"))


def _add_absent(root: ET.Element, implementation: Described) -> None:
    suite = _suite(root, implementation.name, tests=1, failures=0, skipped=1)
    test = ET.SubElement(suite, "testcase", classname=implementation.name, name="installed")
    ET.SubElement(test, "skipped", message=_clean(f"absent: {implementation.absent}"))


def _suite(root: ET.Element, name: str, **counts: int) -> ET.Element:
    attributes = {"name": name, "errors": "0", **{key: str(count) for key, count in counts.items()}}
    return ET.SubElement(root, "testsuite", attributes)


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
