"""Ctrl-C at any moment of a write: nobody waits for its locks afterwards, whoever keeps the traceback."""

from __future__ import annotations

import dis
import gc
import sys
import threading
from pathlib import Path

import pytest

import zarr_shard_codec as zsc
from zarr_shard_codec.engine import locks, writing
from zarr_shard_codec.stores import file_locks, files, local, temporary
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.memory import MemoryStore

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] == (3, 12),
    reason="3.12 traces no instruction the first time, and 3.12.1 crashes if it is made to",
)

MAKING = {local.__file__, temporary.__file__, files.__file__}
TRACED = {locks.__file__, file_locks.__file__, writing.__file__}


BEFORE = {"RESUME", "CALL", "CALL_KW", "CALL_FUNCTION_EX", "JUMP_BACKWARD"}
"""The instructions behind which Python looks for signals."""


class Interrupt:
    """Raises where Python could see a signal for the so manieth time in the traced files."""

    def __init__(self, at, traced):
        self.left = at
        self.traced = traced
        self.last = {}

    def __call__(self, frame, event, _argument):
        """Trace the frame, or do what was promised."""
        if frame.f_code.co_filename not in self.traced:
            return None
        frame.f_trace_opcodes = True
        if event == "call":
            self.last[id(frame)] = ""  # whoever kept the frame would keep its variables
        if event == "opcode":
            seen = self.last[id(frame)] in BEFORE
            self.last[id(frame)] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            self.left -= seen
            if seen and not self.left:
                raise KeyboardInterrupt
        return self


def interrupted(write, at, traced=TRACED):
    """The error that a write ends with if it is interrupted at that place; None if it has fewer."""
    errors = []

    def trace():
        sys.settrace(Interrupt(at, traced))
        try:
            write()
        except KeyboardInterrupt as error:
            errors.append(error)

    # In a thread of its own: whatever this leaves in the interpreter ends with it.
    thread = threading.Thread(target=trace)
    thread.start()
    thread.join()
    return errors[0] if errors else None


@pytest.mark.parametrize("kind", ["local", "append", "memory"])
def test_locks_are_let_go_wherever_it_comes(tmp_path, kind):
    """Another thread writes the same shard at once; without the tracebacks no file is open."""
    store = MemoryStore() if kind == "memory" else LocalStore(tmp_path)
    zsc.create(store, shape=(8, 4), dtype="u2", shard_shape=(8, 4), inner_chunk_shape=(2, 4))
    array = zsc.open(store, mode="r+", write_strategy="append" if kind == "append" else "replace")
    array[...] = 1
    array[2:4] = 1
    kept, at = [], 0
    while True:
        at += 1
        error = interrupted(lambda value=at: array.__setitem__(slice(0, 2), value % 65536), at)
        if error is None:
            break
        kept.append(error)
        other = threading.Thread(target=lambda value=at: array.__setitem__(slice(2, 4), value), daemon=True)
        other.start()
        other.join(10)
        assert not other.is_alive(), f"it waits for a lock after an interrupt at place {at}"
        assert (array[2:4] == at).all()
    assert at > 50
    kept.clear()
    gc.collect()
    assert all(lock._descriptor < 0 for lock in file_locks._held)
    assert (array[0:2] == at).all()


def test_no_temporary_file_is_left_wherever_it_comes(tmp_path):
    """Nor is one open: without the traceback at the latest."""
    store = LocalStore(tmp_path)
    before, at = len(list(Path("/proc/self/fd").iterdir())), 0
    while True:
        at += 1
        if interrupted(lambda value=at: store.write("k", [b"%d" % value]), at, MAKING) is None:
            break
        gc.collect()
        assert not list(tmp_path.glob(".zsc-tmp-*")), f"left by an interrupt at place {at}"
        assert len(list(Path("/proc/self/fd").iterdir())) == before, f"open after one at place {at}"
    assert at > 30
    assert (tmp_path / "k").read_bytes() == b"%d" % at
