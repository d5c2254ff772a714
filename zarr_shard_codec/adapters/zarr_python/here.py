"""Reading and writing in the thread that asks, without a turn of zarr-python's event loop.

Owns the way past the host's `sync`, which hands each selection to a loop in another thread and waits for it:
two threads to wake, which takes longer than our reading of an inner chunk. What our pipeline does with local
files awaits nothing, so the coroutine that the host has made runs to its end at its first step, wherever that
is taken; `sync` takes it in the thread that called. Most do not even need it (`direct`).

Until our pipeline is reached nothing is stored. So whatever comes in between, and what the pipeline cannot do
without a loop (`NeedsLoopError`), begins anew the host's own way; a value that was to be written is converted
once more, then. For all other arrays that is the only way, as it is where the host has no such `sync`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from types import CodeType
from typing import Any, Final

from zarr_shard_codec.adapters.zarr_python import versions


class NeedsLoopError(Exception):
    """What was asked for awaits something: it has to be asked for again, within an event loop."""


class _State(threading.local):
    """Of this thread.

    Attributes
    ----------
    steps
        Whether it takes a step of one of the host's coroutines, without a loop.
    loop
        The loop that was running in it before, which is not to be waited for; nearly always None.
    reached
        Whether that has come to our pipeline.
    """

    steps = False
    loop: asyncio.AbstractEventLoop | None = None
    reached = False


_state: Final = _State()


def is_here() -> bool:
    """Whether nothing can be awaited. The first thing that our pipeline asks when it is called."""
    _state.reached = True
    # Another loop than before: somebody who is called by us (a lock, say) runs one of its own meanwhile.
    return _state.steps and asyncio._get_running_loop() is _state.loop


def install() -> None:
    """Take the host's `sync` for reading and writing selections, if it is where it is known to be."""
    host = versions.selecting()
    if host is None or getattr(host.module.sync, "stands_in", False):
        return
    host.module.sync = _standing_in_for(host)


def _arguments(code: CodeType, found: Mapping[str, Any]) -> dict[str, Any]:
    """What a coroutine that has not begun was called with."""
    return {name: found[name] for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]}


def _standing_in_for(host: versions.Selecting) -> Callable[..., Any]:
    host_sync = host.module.sync
    reading, writing = host.read.__code__, host.write.__code__

    def sync(coro: Coroutine[Any, Any, Any], *options: Any, **named: Any) -> Any:
        code = getattr(coro, "cr_code", None)
        if (code is not reading and code is not writing) or options or named:
            return host_sync(coro, *options, **named)
        arguments = _arguments(code, coro.cr_frame.f_locals)  # type: ignore[attr-defined]
        array = arguments["self"]
        pipeline = array.codec_pipeline
        runs_here = getattr(pipeline, "runs_here", None)
        if runs_here is None or not runs_here(array.store_path) or versions.is_mended(array):
            return host_sync(coro)
        coro.close()
        if code is reading:
            method = host.read
            found = pipeline.direct.read(array, *(arguments[name] for name in versions.READS))
            if found is not None:
                return found
        else:
            method = host.write
            if pipeline.direct.write(
                array, *(arguments[name] for name in versions.WRITES), pipeline.settings
            ):
                return None
        coro = method(**arguments)
        before = _state.steps, _state.loop, _state.reached
        _state.steps, _state.loop, _state.reached = True, asyncio._get_running_loop(), False
        try:
            coro.send(None)
            coro.close()  # it awaits something, which only the host itself can have begun
        except StopIteration as end:
            return end.value
        except NeedsLoopError:
            pass
        except Exception:
            if _state.reached:
                raise
        finally:
            _state.steps, _state.loop, _state.reached = before
        return host_sync(method(**arguments))

    sync.stands_in = True  # type: ignore[attr-defined]
    return sync
