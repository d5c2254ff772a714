"""Temporary files, and how a dead writer's is told from a live one's."""

import os
import signal
import subprocess
import sys
import time

import pytest

from zarr_shard_codec.errors import UsageError
from zarr_shard_codec.stores.temporary import TemporaryFile, is_abandoned

FORKING_WRITER = """
import os, sys, time
from zarr_shard_codec.stores.local import LocalStore

store = LocalStore(sys.argv[1])
with store.atomic_writer("k") as descriptor:
    child = os.fork()
    if child:
        print(child, flush=True)
    else:
        os.close(1)
    time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_does_not_keep_a_temporary_file(tmp_path):
    """Its writer is dead, and that can be seen while the child lives on; nor does the child remove it."""
    command = [sys.executable, "-c", FORKING_WRITER, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        child = int(writer.stdout.readline())
        (file,) = tmp_path.glob(".zsc-tmp-*")
        assert not is_abandoned(str(file))
        writer.kill()
    try:
        for _ in range(1000):  # the child may not have come to itself yet
            if is_abandoned(str(file)):
                break
            time.sleep(0.01)
        else:
            pytest.fail("the child keeps the file")
    finally:
        os.kill(child, signal.SIGTERM)


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_of_another_process_is_not_put_anywhere(tmp_path, durable):
    """Where that goes on with it, it finds it as it was."""
    file = TemporaryFile(str(tmp_path / "k"), durable=durable)
    file.make()
    file.disown()
    for use in (file.replace, lambda: file.descriptor):
        with pytest.raises(UsageError, match="only the process that made a file"):
            use()
    file.remove()
    assert [str(path) for path in tmp_path.iterdir()] == [file.name]
