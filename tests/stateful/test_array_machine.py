"""An array through anything that can happen to it, one thing after the other, against a NumPy array.

Writers are killed within a system call of theirs: a part of the call is done, and from then on nothing the
writer does reaches the disk. This happens in this process, by an exception that is no `Exception`, so that
Hypothesis can replay it (`tests/crash` kills real processes). Disks that are full take a part, too, and
then nothing more; but what was begun can be undone.

Of a write that did not come to its end each unit holds the old or the new state: a shard, or with `in_place`
an inner chunk that has a checksum, or else a byte. What cannot be read then, and only that, is `lost`
until `repair` brings one of the two states back, or somebody writes all of it anew.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

import zarr_shard_codec as zsc
from zarr_shard_codec.core.grid import CHUNK_ORDERS
from zarr_shard_codec.engine import pool

sys.path.insert(0, str(Path(__file__).parent))

from failing_calls import FAULTS, Disk, Killed
from layouts import CRC, layouts, shapes, special_values
from units import boxes_of, fitted, require_either, same, spread

done: Counter[str] = Counter()


class _Abandoned(Exception):  # noqa: N818
    """Ends the block of a shard writer."""


class ArrayMachine(RuleBasedStateMachine):
    """One array.

    `model` is what it holds. Where it is `lost` nobody can read it, and it holds that or `other`, in units of
    the shape `unit` (or bytes, if that is None); or neither, if `unit` is "torn": it was written over.
    """

    def __init__(self):
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.path = Path(self._folder.name, "a")
        self.temporary, self.kept = set(), set()
        done["examples"] += 1

    def teardown(self):
        """Remove the files."""
        self._folder.cleanup()

    @initialize(data=st.data(), layout=layouts())
    def create(self, data, layout):
        self.array = zsc.create(self.path, **layout)
        self.fill = layout["fill_value"]
        self.model = np.full(layout["shape"], self.fill, layout["dtype"])
        self.other, self.lost = self.model, np.zeros(layout["shape"], bool)
        self.unit = None
        self.checked = CRC in layout["codecs"]
        self.strategies = ["replace"]
        for strategy in ("append", "in_place"):
            with suppress(zsc.UsageError):
                zsc.open(self.path, "r+", write_strategy=strategy)
                self.strategies.append(strategy)
        self._choose(data)
        self.array[...] = self.model[...] = self._values(data, self.model.shape)
        self._look_around(data, "create", "done")

    def _choose(self, data):
        """Go on as another writer."""
        self.options = {
            "write_strategy": data.draw(st.sampled_from([*self.strategies[1:] * 2, "replace"])),
            "chunk_order": data.draw(st.sampled_from(sorted(CHUNK_ORDERS))),
            "lock": data.draw(st.sampled_from(["auto", None])),
        }
        self._reopen()

    @rule(data=st.data())
    def write(self, data):
        """Set a basic selection."""
        self._write(data, data.draw(hnp.basic_indices(self.model.shape)))

    @precondition(lambda self: self.model.size)
    @rule(data=st.data())
    def write_box(self, data):
        """Set a box: often all of some shards or inner chunks, and a part of others."""
        bounds = [
            sorted(data.draw(st.tuples(*[st.integers(0, size)] * 2), label="bounds"))
            for size in self.model.shape
        ]
        self._write(data, tuple(slice(start, stop) for start, stop in bounds))

    def _write(self, data, selection):
        value = self._values(data, self.model[selection].shape)
        wanted, touched = self.model.copy(), np.zeros_like(self.lost)
        wanted[selection], touched[selection] = value, True
        ended = self._change(data, lambda: self.array.__setitem__(selection, value), wanted, touched)
        self._look_around(data, "write", ended)

    @precondition(lambda self: self.model.size)
    @rule(data=st.data())
    def write_shard(self, data):
        """Write one shard inner chunk by inner chunk, in any order, or begin to."""
        shape, inner = self.model.shape, self.array.inner_chunk_shape
        coords, _ = data.draw(st.sampled_from(list(self.array.shard_keys())))
        box = tuple(slice(at * n, (at + 1) * n) for at, n in zip(coords, self.array.shard_shape, strict=True))
        wanted, touched = self.model.copy(), np.zeros(shape, bool)
        part = wanted[box]
        part[...], touched[box] = self.fill, True
        everywhere = list(boxes_of(part.shape, inner))
        chunks = []
        for inside in data.draw(st.lists(st.sampled_from(everywhere), max_size=len(everywhere) + 1)):
            chunk = self._values(data, data.draw(st.sampled_from([inner, part[inside].shape])))
            part[inside] = chunk[tuple(map(slice, part[inside].shape))]
            at = tuple(axis.start // size for axis, size in zip(inside, inner, strict=True))
            chunks.append((at, chunk))
        abandoned = data.draw(st.integers(0, 4)) == 4

        def act():
            with suppress(_Abandoned), self.array.shard_writer(coords) as writer:
                for at, chunk in chunks:
                    writer[at] = chunk
                if abandoned:
                    raise _Abandoned

        if abandoned:
            wanted, touched = self.model, np.zeros(shape, bool)
        ended = self._change(data, act, wanted, touched)
        self._look_around(data, "write_shard", ended)

    @rule(data=st.data(), order=st.sampled_from([None, *sorted(CHUNK_ORDERS)]))
    def compact(self, data, order):
        """Drop what appends left behind."""
        ended = self._change(data, lambda: self.array.compact(order), self.model, np.zeros_like(self.lost))
        if ended == "done" and not self.lost.any():
            assert all(finding.reason != "unused_bytes" for finding in zsc.verify(self.path).findings)
        self._look_around(data, "compact", ended)

    @rule(data=st.data())
    def resize(self, data):
        """Grow, shrink, or both; often there and back again, which must bring nothing back."""
        before, shape = self.model.shape, data.draw(shapes(self.array.shard_shape))
        self._resize(data, shape)
        if data.draw(st.booleans(), "and back"):
            self._resize(data, before)

    def _resize(self, data, shape):
        wanted = fitted(self.model, shape, self.fill)
        touched = ~fitted(np.ones(shape, bool), self.model.shape, beyond=False)
        ended = self._change(data, lambda: self.array.resize(shape), wanted, touched, by_shard=False)
        self._look_around(data, "resize", ended)

    @precondition(lambda self: self.lost.any() or self.temporary)
    @rule(data=st.data())
    def repair(self, data):
        """Bring back what is lost, and remove what killed writers left; or be killed at it."""
        drop = data.draw(st.booleans(), "drop_corrupt")
        self._age_temporary()
        before = {name: (self.path / name).read_bytes() for name in self._files()}
        planned = zsc.repair(self.path, drop_corrupt=drop)
        assert {name: (self.path / name).read_bytes() for name in self._files()} == before
        fault = data.draw(FAULTS)
        ended, report = self._under(fault, lambda: zsc.repair(self.path, apply=True, drop_corrupt=drop))
        kept = {name for name in self._files() - set(before) if ".zsc-damaged-" in name}
        for name in kept:
            assert (self.path / name).read_bytes() == before[name.partition(".zsc-damaged-")[0]]
        self.kept |= kept
        seen, readable = self._look()
        found = readable & self.lost
        assert (readable | self.lost).all()
        assert same(seen, self.model)[~self.lost].all()
        if self.unit == "torn":  # written over: nothing is left to bring back
            assert drop or not found.any()
            assert same(seen, np.full_like(seen, self.fill))[found].all()
        else:
            require_either(seen, self.model, self.other, found, self.unit)
        if ended == "done":
            what = [(repair.action, repair.key, repair.inner_chunk) for repair in report.repairs]
            assert what == [(repair.action, repair.key, repair.inner_chunk) for repair in planned.repairs]
            assert {key for action, key, _ in what if action == "remove_temporary"} == self.temporary
            mended = [repair for repair in report.repairs if repair.action != "remove_temporary"]
            assert {repair.kept for repair in mended} <= self.kept
            assert kept <= {repair.kept for repair in mended}
            assert (self.unit == "torn" and not drop) or (found == self.lost).all()
            assert bool(report.errors) == (not readable.all())
            self.temporary = set()
        elif ended == "failed":
            self.temporary &= self._files()
        done["elements repaired"] += int(found.sum())
        self.model[found] = seen[found]
        self.lost &= ~found
        self._look_around(data, "repair", ended)

    def _change(self, data, act, wanted, touched, *, by_shard=True):
        """Do it, perhaps on a bad day, and find out what the array holds now.

        `by_shard`: each shard that is touched is written once.
        """
        if data.draw(st.booleans(), "reopen"):
            self._choose(data)
            done["reopened"] += 1
        fault = None if self.lost.any() else data.draw(FAULTS)
        ended, _ = self._under(fault, act)
        shape = zsc.open(self.path).shape
        assert shape == wanted.shape or (ended != "done" and shape == self.model.shape)
        wanted = fitted(wanted, shape, self.fill)
        touched, lost = (fitted(mask, shape, beyond=False) for mask in (touched, self.lost))
        old, other = (fitted(array, shape, self.fill) for array in (self.model, self.other))
        seen, readable = self._look()
        shard, inner = self.array.shard_shape, self.array.inner_chunk_shape
        lost = spread(lost, inner if self.unit == "torn" else shard)  # an array that grew shows more of it
        may_lose, unit = np.zeros_like(lost), shard if by_shard else None
        if self.options["write_strategy"] == "in_place" and ended in ("killed", "failed"):
            unit = inner if self.checked and by_shard else None
            may_lose = spread(touched, inner) & self.checked
        elif self.options["write_strategy"] == "append" and ended == "killed":
            may_lose = spread(touched, shard)
        if ended == "done":
            assert same(seen, wanted)[readable].all()
            assert not (touched & ~readable).any()
        else:
            require_either(seen, old, wanted, readable & ~lost, unit)
            assert (same(seen, wanted) & touched)[readable & lost].all()
        assert (readable | lost | may_lose).all()
        if not lost.any():
            other = wanted
            self.unit = "torn" if self.options["write_strategy"] == "in_place" else unit
        self.model, self.other, self.lost = old, other, ~readable
        self.model[readable] = seen[readable]
        done["elements lost for a while"] += int((self.lost & ~lost).sum())
        return ended

    def _under(self, fault, act):
        """Do it; how that ended, and what came of it."""
        result, ended = None, "done"
        with Disk(fault) as disk:
            try:
                result = act()
            except Killed:
                ended = "killed"
            except zsc.StoreError as error:
                ended = "failed" if error.errno == errno.ENOSPC else str(error)
            except zsc.CorruptShardError:
                assert self.lost.any()
                ended = "refused"
        assert ended in ({"killed", "failed"} if disk.struck else {"done", "refused"})
        if ended == "killed":
            self.temporary = {name for name in self._files() if ".zsc-tmp-" in name}
            self._reopen()
        return ended, result

    def _reopen(self):
        self.array = zsc.open(self.path, "r+", **self.options)

    def _age_temporary(self):
        """Let a while pass: repair waits until it is sure that nobody is about to lock a young file."""
        for name in self.temporary:
            os.utime(self.path / name, times=(time.time() - 60,) * 2)

    def _files(self):
        found = (path.relative_to(self.path) for path in self.path.rglob("*") if path.is_file())
        return {path.as_posix() for path in found} - {".zsc-lock"}

    def _look(self):
        """All that tensorstore and this package can read, which is the same; and where that is."""
        theirs = ts.open(
            {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{self.path}/"}}, read=True
        ).result()
        ours = zsc.open(self.path)
        assert theirs.shape == ours.shape
        seen, readable = np.empty(ours.shape, ours.dtype), np.zeros(ours.shape, bool)
        whole = (tuple(slice(0, size) for size in ours.shape),)
        for boxes in (whole, boxes_of(ours.shape, ours.inner_chunk_shape)):
            for box in boxes:
                mine = other = None
                with suppress(zsc.CorruptShardError):
                    mine = ours[box]
                with suppress(ValueError):
                    other = theirs[box].read().result()
                assert (mine is None) == (other is None)
                if mine is not None:
                    assert same(mine, other).all()
                    seen[box], readable[box] = mine, True
            if readable.all():
                break
        return seen, readable

    def _look_around(self, data, action, ended):
        """Read a part; verify; nothing lies there that should not."""
        selection = data.draw(hnp.basic_indices(self.model.shape))
        if self.lost[selection].any():
            with pytest.raises(zsc.CorruptShardError):
                self.array[selection]
        else:
            expected = self.model[selection]
            assert same(np.asarray(self.array[selection]), np.asarray(expected)).all()
        shards = dict(self.array.shard_keys())
        boxes = dict(zip(shards, boxes_of(self.model.shape, self.array.shard_shape), strict=True))
        report = zsc.verify(self.path)
        damaged = {finding.key for finding in report.findings if finding.severity == "error"}
        assert damaged == {shards[at] for at, box in boxes.items() if self.lost[box].any()}
        notes = {(finding.reason, finding.key) for finding in report.findings if finding.severity == "note"}
        strays = {("leftover_temporary", name) for name in self.temporary}
        strays |= {("orphan_object", name) for name in self.kept}
        assert strays <= notes
        assert {reason for reason, _ in notes - strays} <= {"unused_bytes", "chunk_outside_array"}
        assert self._files() <= {"zarr.json", *shards.values(), *self.temporary, *self.kept}
        assert self.temporary | self.kept <= self._files()
        done["steps"] += 1
        done[f"{action}: {ended}"] += 1
        event(f"{action}: {ended}")
        if self.lost.any() and data.draw(st.booleans(), "repair at once"):
            self.repair(data)

    def _values(self, data, shape):
        """Noise, or numbers that are easily taken for others, fill values among them."""
        dtype, size = self.model.dtype, int(np.prod(shape, dtype=int))
        kind = data.draw(st.sampled_from(["noise", "special", "zeros", "fill"]))
        random = np.random.default_rng(data.draw(st.integers(0, 1000)))
        if kind == "fill":
            return np.full(shape, self.fill, dtype)
        if kind == "special" or dtype.kind == "b":
            return random.choice(special_values(dtype), shape)
        if kind == "zeros":
            return random.choice(special_values(dtype)[:2], shape)
        return np.frombuffer(random.bytes(size * dtype.itemsize), dtype).reshape(shape)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has not these calls")
def test_whatever_happens_readers_see_what_was_written(monkeypatch):
    """An array holds what NumPy says, here and for tensorstore; after a crash, the old or the new."""
    monkeypatch.setenv(pool.THREADS_VARIABLE, "1")  # calls come in the same order in each run
    monkeypatch.setattr(pool, "_pools", {})
    done.clear()
    run_state_machine_as_test(
        ArrayMachine,
        settings=settings(max_examples=settings.default.max_examples // 3, stateful_step_count=20),
    )
    print(", ".join(f"{count} {what}" for what, count in sorted(done.items())))  # noqa: T201
    assert any(what.endswith("killed") for what in done), "no writer was killed"
