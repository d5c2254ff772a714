"""Names of codecs, and who may give them a meaning."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from zarr_shard_codec.codecs import registry

ROOT = Path(__file__).parents[2]


BARE_PACKAGE = (
    "import sys, types\n"
    "package = sys.modules['zarr_shard_codec'] = types.ModuleType('zarr_shard_codec')\n"
    f"package.__path__ = [{str(ROOT / 'zarr_shard_codec')!r}]\n"
)
"""The package without what its own `__init__` imports: the laws here are the codecs'."""


def run(code, *path):
    """Run code in a fresh process; the words that it printed."""
    environment = {"PYTHONPATH": ":".join(map(str, (ROOT, *path)))}
    done = subprocess.run(
        [sys.executable, "-c", BARE_PACKAGE + code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_importing_the_registry_imports_no_codec():
    """The registry knows its codecs by name alone."""
    code = "import sys, zarr_shard_codec.codecs.registry as r; r.get_factory('bytes'); print(*sys.modules)"
    modules = set(run(code))
    assert "zarr_shard_codec.codecs.bytes_" in modules
    assert not modules & {"zstandard", "isal", "numcodecs", "google_crc32c", "importlib.metadata"}


@pytest.mark.parametrize("name", ["zstd", "gzip", "crc32c", "blosc", "transpose"])
def test_building_a_codec_of_the_specification_does_not_import_numcodecs(name):
    """What is slow to import waits until the first chunk needs it."""
    code = (
        "import sys, numpy as np, zarr_shard_codec.codecs.registry as r\n"
        "from zarr_shard_codec.core.protocols import ChunkSpec\n"
        f"configuration = {{'order': [0]}} if {name!r} == 'transpose' else {{}}\n"
        "spec = ChunkSpec((4,), np.dtype('u2'), np.zeros((), 'u2'))\n"
        f"r.get_factory({name!r})({name!r}, configuration, spec); print(*sys.modules)"
    )
    assert "numcodecs" not in set(run(code))


def test_a_name_that_nobody_knows_is_none():
    """An unknown name is an answer, not an error."""
    assert registry.get_factory("zfp") is None
    assert "zfp" not in registry.known_names()


def test_every_built_in_name_has_its_module_and_attribute():
    """No built-in name is a dead end."""
    assert len(registry.known_names()) >= 26
    for name in registry.known_names():
        assert callable(registry.get_factory(name)), name


def test_what_is_registered_is_found_first(monkeypatch):
    """A program may put another codec in the place of a built-in one."""
    monkeypatch.setattr(registry, "_registered", {})
    factory = registry.get_factory("gzip")
    registry.register("zstd", factory)
    assert registry.get_factory("zstd") is factory
    registry.register("my.codec", factory)
    assert "my.codec" in registry.known_names()


def test_an_entry_point_adds_a_codec_but_replaces_none(tmp_path):
    """Another distribution adds names; built-in names stay what they are."""
    (tmp_path / "their_codec.py").write_text("def build(name, configuration, spec): return 'theirs'\n")
    information = tmp_path / "their_codec-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: their-codec\nVersion: 1\n")
    (information / "entry_points.txt").write_text(
        "[zarr_shard_codec.codecs]\ntheirs = their_codec:build\nzstd = their_codec:build\n"
        "broken = no_such_module_at_all:build\n"
    )
    code = (
        "import zarr_shard_codec.codecs.registry as r\n"
        "print(r.get_factory('theirs').__module__, r.get_factory('zstd').__module__)\n"
        "print('theirs' in r.known_names())\n"
        "try: r.get_factory('broken')\n"
        "except r.UsageError as error: print(error.reason, 'no_such_module_at_all' in str(error))"
    )
    expected = ["their_codec", "zarr_shard_codec.codecs.zstd", "True", "missing_extra", "True"]
    assert run(code, tmp_path) == expected
