"""Each demand of the specification has a test, and each test that claims one names it rightly."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_found = importlib.util.spec_from_file_location("link_tests", ROOT / "spec" / "link_tests.py")
link_tests = importlib.util.module_from_spec(_found)
_found.loader.exec_module(link_tests)

REQUIREMENTS = link_tests.requirements()
MARKED = link_tests.marked_tests()
DECISIONS = re.findall(r"^## ([A-Z-]+):", (ROOT / "spec" / "decisions.md").read_text(), re.MULTILINE)


def test_there_are_requirements_and_each_is_complete():
    """Every entry has an id of its own, a section, a level and a text; an empty file would prove nothing."""
    assert len(REQUIREMENTS) > 30
    ids = [entry["id"] for entry in REQUIREMENTS] + DECISIONS
    assert len(set(ids)) == len(ids)
    for entry in REQUIREMENTS:
        assert set(entry) == {"id", "section", "level", "text", "tests"}
        assert entry["level"] in ("must", "should", "may")
        assert entry["section"].partition(":")[0] in ("sharding-indexed", "core", "regular-grid")
        assert entry["text"].endswith(".")


@pytest.mark.parametrize("entry", REQUIREMENTS, ids=lambda entry: entry["id"])
def test_a_requirement_names_the_tests_that_name_it(entry):
    """A requirement has a test; those in its list are those whose marker has its id, and they exist."""
    marked = MARKED.get(entry["id"], [])
    assert marked, f"no test is marked with {entry['id']}"
    assert entry["tests"] == marked, "run: python spec/link_tests.py"


def test_no_marker_names_an_unknown_requirement():
    """An id in a marker stands in requirements.toml."""
    assert set(MARKED) <= {entry["id"] for entry in REQUIREMENTS}


def test_no_comment_names_an_unknown_id():
    """An id in parentheses in the package's comments is one of a requirement or of a decision."""
    known = {entry["id"] for entry in REQUIREMENTS} | set(DECISIONS)
    named = re.compile(r"\(([A-Z]+(?:-[A-Z]+)+(?:, [A-Z]+(?:-[A-Z]+)+)*)\)")
    for path in (ROOT / "zarr_shard_codec").rglob("*.py"):
        for match in named.finditer(path.read_text()):
            assert set(match[1].split(", ")) <= known, f"{path.name}: {match[0]}"
