"""zarrita (Python) is not there: on Python 3.12 and newer it never is."""

import subprocess
import sys

PROGRAM = """
import sys
sys.modules["zarrita"] = None
import zarr_shard_codec as zsc
try:
    import zarr_shard_codec.adapters.zarrita
except zsc.UsageError as error:
    print(error.reason, error)
"""


def test_the_adapter_names_the_extra_to_install():
    """Importing the adapter without zarrita says what to install."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("missing_extra")
    assert "zarr-shard-codec[zarrita]" in done.stdout
