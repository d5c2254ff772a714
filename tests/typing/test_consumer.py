"""Types as a user of the package sees them."""

import os
import subprocess
import sys
from pathlib import Path

import zarr_shard_codec


def test_the_public_names_have_types(tmp_path):
    """Names have types for mypy, though they are loaded late; what is misspelt or misused is found."""
    package = Path(zarr_shard_codec.__file__).parent
    assert (package / "py.typed").exists()
    arguments = ["--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}", "--follow-imports=silent"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *arguments, Path(__file__).with_name("consumer.py")],
        cwd=tmp_path,
        env=os.environ | {"MYPYPATH": str(package.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "Success: no issues found in 1 source file\n"), done.stdout
