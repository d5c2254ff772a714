"""Ctrl-C at any moment of a write: nobody waits for its locks afterwards, whoever keeps the traceback."""

from __future__ import annotations

import dis
import gc
import sys
import threading

import pytest

import zarr_shard_codec as zsc
from zarr_shard_codec.engine import locks, writing
from zarr_shard_codec.stores import file_locks
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.memory import MemoryStore

TRACED = {locks.__file__, file_locks.__file__, writing.__file__}


BEFORE = {"RESUME", "CALL", "CALL_KW", "CALL_FUNCTION_EX", "JUMP_BACKWARD"}
"""The instructions behind which Python looks for signals."""


class Interrupt:
    """Raises where Python could see a signal for the so manieth time in the traced files."""

    def __init__(self, at):
        self.left = at
        self.last = {}

    def __call__(self, frame, event, _argument):
        """Trace the frame, or do what was promised."""
        if frame.f_code.co_filename not in TRACED:
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


def interrupted(write, at):
    """The error that a write ends with if it is interrupted at that place; None if it has fewer."""
    errors = []

    def trace():
        sys.settrace(Interrupt(at))
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
