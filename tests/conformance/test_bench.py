"""The benchmark: it measures the whole matrix, fairly and of equal values. No time is asserted here."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from conformance.bench import bars, contention, hosted, matrix, volumes
from conformance.bench.memory import measure_memory
from conformance.bench.rounds import CHEAP_ROUNDS, run_cases
from conformance.bench.runners import Measurement, SubjectRunner
from conformance.bench.scaling import measure_growth, measure_million, slope
from conformance.bench.strategies import run_strategies
from conformance.bench.subjects import HOSTED, NAMES, OURS, STRATEGIES, is_installed, load
from conformance.bench.workers import LIMIT, SubjectError, Worker
from conformance.processes import Process, RemoteError

INSTALLED = [name for name in NAMES if is_installed(name)]


def tiny_cases():
    """A volume with each codec, a flat array and one mostly empty, so small that they take no time."""
    tiny = matrix.volume_cases("smooth", edge=32, shard_edge=16, chunk_edges=(4, 8))
    most = ("write", "chunk_write", "read", "chunk", "box", "plane")
    flat = matrix.Case("image", "256", "zstd", (64, 64), "float32", (16, 16), (64, 64), most, writes=1)
    thin = matrix.Case("sparse", "32", "zstd", (32,) * 3, "uint16", (8,) * 3, (16,) * 3, most)
    return [replace(case, box_edge=20, reads=4) for case in (*tiny[1:], flat, thin)]


class Here:
    """A worker without a process: this package, in this one, under any name."""

    def __init__(self):
        self.runner = SubjectRunner(load(OURS))

    def call(self, method, *args, **options):
        """Call it at once."""
        return getattr(self.runner, method)(*args, **options)


@pytest.fixture(scope="module")
def workers():
    """A process for each subject."""
    found = {name: Worker(name) for name in [*INSTALLED, LIMIT]}
    yield found
    for worker in found.values():
        worker.close()


@pytest.fixture(scope="module")
def cells(workers, tmp_path_factory):
    """Every tiny case, measured with every subject."""
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("conformance.bench.rounds.CHEAP_ROUNDS", 1)  # everything is cheap here
        found = run_cases(tiny_cases(), workers, 1, folder)
    assert not list(folder.iterdir())  # each case leaves nothing behind
    return found


def test_matrix_has_every_cell():
    """Each inner chunk with each codec (the smallest with zstd alone) is measured on both kinds of data."""
    names = {case.cell(operation) for case in matrix.matrix() for operation in case.operations}
    plain = ("read", "write", "chunk", "box", "plane", "chunk_write")
    pairs = [(edge, codec) for edge in (16, 32, 64) for codec in ("none", "zstd", "blosc", "gzip")]
    for data in ("brain", "smooth"):
        for edge, codec in [*pairs, (8, "zstd")]:
            assert names >= {f"{data}/{edge}/{codec}/{operation}" for operation in plain}
    assert names >= {f"smooth/{edge}/zstd/pack" for edge in (16, 32, 64)}
    assert names >= {
        f"{case}/{op}" for case in ("image/256/zstd", "tiny/8/zstd", "sparse/32/zstd") for op in plain
    }


def test_special_cases_are_as_special_as_they_say():
    """The image is one shard, the tiny chunks are 10^5 in one shard, 95 % of the sparse array is empty."""
    image, tiny, _ = matrix.special_cases()
    assert (image.shards, image.shape, image.dtype) == (1, (8192, 8192), "float32")
    assert (tiny.shards, np.prod(tiny.counts)) == (1, 100_000)
    thin = replace(tiny, data="sparse", shape=(400, 400), shard_shape=(400, 400))
    assert len(matrix.chunks_with_data(thin, thin.content())) == 2500 // 20


def test_every_bar_belongs_to_cells_and_quick_is_part_of_the_matrix():
    """Bars reach all volumes but the smallest inner chunks, of which only full reads have one."""
    cases = matrix.matrix()
    without = {
        case.cell(o).partition("/")[2] for case in cases for o in case.operations if not bars.bar_of(case, o)
    }
    assert without == {f"8/zstd/{o}" for o in ("write", "chunk_write", "chunk", "box", "plane")}
    everything = {case.cell(operation) for case in cases for operation in case.operations}
    assert matrix.quick_cells(cases) < everything


def test_selections_are_the_same_for_everyone_and_new_in_each_round():
    """What is read depends on the case and the round, never on who asks."""
    case = tiny_cases()[0]
    filled = matrix.chunks_with_data(case, case.content())
    first, again, other = (matrix.selections(case, "chunk", n, filled) for n in (1, 1, 2))
    assert first == again != other
    written = matrix.selections(case, "chunk_write", 1, filled)
    shards = {tuple(part.start // 16 for part in selection) for selection in written}
    assert len(shards) == len(written) == matrix.CHUNK_WRITES


def test_boxes_reach_over_the_edges_of_shards():
    """A box is of its size, within the array, and of two shards or more along each axis."""
    case = tiny_cases()[0]
    for round_ in range(20):
        for box in matrix.selections(case, "box", round_, np.empty((0, 3))):
            for part, size, shard in zip(box, case.shape, case.shard_shape, strict=True):
                assert part.stop - part.start == case.box_edge
                assert 0 <= part.start < part.stop <= size
                assert part.start // shard < (part.stop - 1) // shard


def test_all_subjects_agree(cells):
    """Every installed subject reads and writes the same values, in every cell."""
    assert len(INSTALLED) >= 4  # this package, tensorstore, zarr-python, zarrs
    for one in cells:
        assert one.notes == {}, one.name
        assert set(one.times) == set(INSTALLED), one.name
        assert one.limit is not None
        assert one.limit.median > 0


def test_cells_cover_what_the_cases_ask_for(cells):
    """There is one cell for each operation of each case, in their order."""
    assert [one.name for one in cells] == [case.cell(o) for case in tiny_cases() for o in case.operations]


def test_encoded_sizes_are_recorded_for_full_writes(cells):
    """Sizes of what each subject wrote stand in the cells of full writes, and uncompressed ones agree."""
    for one in cells:
        assert bool(one.encoded_nbytes) == one.name.endswith("/write")
        if "none/write" in one.name:
            assert one.sizes_differ == []


def test_a_subject_that_reads_wrong_values_does_not_count(tmp_path):
    """A subject whose values differ is noted, and left out of the cell."""

    class Liar(Here):
        def call(self, method, *args, **options):
            result = super().call(method, *args, **options)
            return replace(result, digest="other") if method == "measure" else result

    case = replace(tiny_cases()[0], operations=("read",))
    (one,) = run_cases([case], {OURS: Here(), "tensorstore": Liar()}, 1, tmp_path)
    assert list(one.times) == [OURS]
    assert one.times[OURS].rounds == CHEAP_ROUNDS
    assert "wrong values" in one.notes["tensorstore"]


def test_a_subject_that_dies_is_an_error_not_a_hang():
    """The end of a worker's process is reported with its status."""
    worker = Worker(OURS)
    worker.call("setup")
    os.kill(worker._process.pid, 9)
    with pytest.raises(SubjectError, match="ended with status -9"):
        worker.call("setup")
    worker.close()


def test_strategies_are_measured_beside_peers_and_read_by_one(workers, tmp_path):
    """Each strategy has a cell with this package's own time; what all rounds wrote is there, compacted."""
    some = {name: workers[name] for name in (OURS, HOSTED, "tensorstore", LIMIT)}
    plain = matrix.Case(
        "writes", "32", "none", (32,) * 3, "uint16", (8,) * 3, (16,) * 3, ("chunk_write",), writes=5
    )
    found = run_strategies([plain, replace(plain, codec="zstd")], some, 1, tmp_path)
    whatever = ("replace", "append", "hosted_append")
    names = {f"writes/32/{codec}/{one}" for codec in ("none", "zstd") for one in whatever}
    assert {one.name for one in found} == names | {"writes/32/none/in_place"}
    for one in found:
        assert one.notes == {}, one.name
        assert set(one.times) == {OURS, "tensorstore"}
        assert one.bar == bars.STRATEGY_RATIOS[one.name.rpartition("/")[2]]
    assert len({one.times[OURS] for one in found}) == len(found)
    assert not list(tmp_path.iterdir())


def test_a_strategy_whose_writes_are_lost_does_not_count(monkeypatch, tmp_path):
    """The array is read again after all rounds, not only after the first."""

    class Forgetful(Here):
        def call(self, method, *args, **options):
            if method == "measure" and args[1] > 0:
                return Measurement(0.001)
            return super().call(method, *args, **options)

    monkeypatch.setattr("conformance.bench.strategies.Worker", lambda _name: Closing())
    plain = matrix.Case(
        "writes", "32", "zstd", (32,) * 3, "uint16", (8,) * 3, (16,) * 3, ("chunk_write",), writes=5
    )
    lost, *kept = run_strategies([plain], {OURS: Forgetful(), "tensorstore": Here()}, 1, tmp_path)
    assert (lost.notes, OURS in lost.times) == ({OURS: "in the end: wrong values"}, False)
    assert [(one.notes, OURS in one.times) for one in kept] == [({}, True)] * 2
    assert list(STRATEGIES) == ["append", "in_place", "hosted_append"]


class Closing(Here):
    """One that its owner closes."""

    def close(self):
        """Nothing is open."""


def test_contending_writers_lose_nothing(workers, tmp_path):
    """Many processes write into the same shards, and another implementation finds all of it."""
    found = contention.measure_contention(tmp_path, workers["tensorstore"], writers=2, writes=9)
    assert found.note is None
    assert found.seconds > 0
    assert found.bar_seconds > 0
    assert not list(tmp_path.iterdir())


def test_a_lost_update_is_no_measurement(monkeypatch, tmp_path):
    """If the array holds something else than was written, there is no time to show."""

    class Changed(Here):
        def call(self, method, *args, **options):
            return super().call(method, *args, **options) + "0"

    class Local(Closing):
        def __init__(self, make, _name):
            self.runner = make()

    monkeypatch.setattr(contention, "Process", Local)
    found = contention.measure_contention(tmp_path, Changed(), writers=2, writes=2)
    assert (found.seconds, found.note) == (None, "an update was lost")
    good = contention.measure_contention(tmp_path, Here(), writers=2, writes=2)
    assert good.seconds > 0


def test_writers_contend_for_shards_not_for_inner_chunks():
    """Each writer has inner chunks of its own, and some in each of the four shards."""
    places = {writer: {contention.place_of(writer, n) for n in range(16)} for writer in range(1, 10)}
    assert len(set.union(*places.values())) == 9 * 8
    for mine in places.values():
        assert len({tuple(at // 4 for at in place) for place in mine}) == contention.CASE.shards == 4
        assert all(
            at < count for place in mine for at, count in zip(place, contention.CASE.counts, strict=True)
        )


def test_lock_is_measured(monkeypatch, tmp_path):
    """A lock between processes is taken: its file is there."""
    monkeypatch.setattr(contention, "LOCKS", 3)
    assert contention.measure_lock(tmp_path).seconds > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [".zsc-lock", "c"]


def test_rows_are_measured_against_the_slice_around_them(tmp_path):
    """The bar of a list of rows is the slice's time; rows that differ from the data are no measurement."""
    case = tiny_cases()[1]
    (found,) = hosted.measure_rows([case], tmp_path, 2)
    assert (found.name, found.note) == ("hosted/smooth/8/zstd/rows", None)
    assert found.seconds > 0
    assert found.bar_seconds > 0
    volumes.create(tmp_path / "empty.zarr", case.document())
    np.save(tmp_path / "content.npy", case.content())
    process = Process(hosted.RowsReader, "rows")
    with pytest.raises(RemoteError, match="wrong values"):
        process.call("measure", str(tmp_path / "empty.zarr"), tmp_path / "content.npy", 1)
    process.close()


def test_memory_of_a_full_read_includes_the_output(tmp_path):
    """The peak rises by the output at least, also in a small child of a large parent."""
    ballast = np.ones(50_000_000, "uint8")
    case = matrix.volume_cases("smooth", chunk_edges=(64,))[0]
    case = replace(case, codec="none")
    (found,) = measure_memory([case], [OURS, HOSTED], tmp_path)
    assert set(found.peak_nbytes) == set(found.bars_nbytes) == {OURS, HOSTED}
    assert ballast.all()
    for peak in found.peak_nbytes.values():
        assert 0.9 * found.output_nbytes < peak < 10 * found.output_nbytes
    assert found.bars_nbytes[OURS] > found.output_nbytes + bars.MEMORY_SLACK_NBYTES
    assert found.bars_nbytes[HOSTED] == found.output_nbytes * 10 // 8  # two of eight shards
    assert not list(tmp_path.iterdir())


def test_many_inner_chunks_are_read_and_inspected(tmp_path):
    """The measurement of the shard of a million chunks works, here on fewer."""
    chunk, inspect = measure_million(tmp_path, grid=(20, 30))
    assert chunk.seconds > 0
    assert inspect.note is None
    assert inspect.seconds > 0


def test_growth_is_measured_on_both_axes(tmp_path):
    """There is a point for each count; the slope of what grows in proportion is 1."""
    by_shards, by_chunks = measure_growth(tmp_path, 1, shard_counts=(1, 2), chunk_grids=((2, 5), (10, 10)))
    assert [count for count, _ in by_shards.points] == [1, 2]
    assert [count for count, _ in by_chunks.points] == [10, 100]
    assert slope([(1, 9), (10, 1), (100, 10), (1000, 100)]) == pytest.approx(1)


def test_data_are_neither_empty_nor_noise():
    """Both kinds of data compress, and neither is trivial."""
    import zlib

    for make in (volumes.brain, volumes.smooth):
        values = make((96, 96, 96))
        assert values.dtype == np.dtype("uint16")
        assert 0.1 < len(zlib.compress(values.tobytes(), 1)) / values.nbytes < 0.8
