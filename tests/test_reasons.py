"""The closed set of reasons: nothing in it is dead, and nothing in it is untested."""

from pathlib import Path

import pytest

import zarr_shard_codec
from zarr_shard_codec.errors import REASONS

PACKAGE = Path(zarr_shard_codec.__file__).parent


def sources(folder, besides):
    """The text of all source files of a folder but one."""
    files = [file for file in folder.rglob("*.py") if file != besides]
    assert files
    return "".join(file.read_text() for file in files)


@pytest.fixture(scope="module")
def package():
    """The package's own text, without the list itself."""
    return sources(PACKAGE, PACKAGE / "errors.py")


@pytest.fixture(scope="module")
def tests():
    """The text of the tests."""
    return sources(Path(__file__).parent, Path(__file__))


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_a_reason_is_given_somewhere_and_tested_somewhere(package, tests, reason):
    """What nothing raises leaves the list; what is raised, some test waits for."""
    assert f'"{reason}"' in package
    assert reason in tests
