"""The benchmark: it measures the whole matrix, fairly and of equal values. No time is asserted here."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from conformance.__main__ import main
from conformance.bench import bars, matrix, volumes
from conformance.bench.machine import describe
from conformance.bench.memory import measure_memory
from conformance.bench.plot import draw, draw_growth
from conformance.bench.results import Cell, Growth, Results, Times, regressions
from conformance.bench.rounds import run_cases
from conformance.bench.scaling import measure_growth, measure_million, slope
from conformance.bench.subjects import HOSTED, NAMES, OURS, Description, is_installed, version_of
from conformance.bench.workers import LIMIT, SubjectError, Worker

INSTALLED = [name for name in NAMES if is_installed(name)]


def tiny_cases():
    """The matrix of the volumes, and one flat array, so small that it takes no time."""
    volumes_ = [
        case
        for data in ("brain", "smooth")
        for case in matrix.volume_cases(data, edge=32, shard_edge=16, chunk_edges=(4, 8))
    ]
    most = ("write", "chunk_write", "read", "chunk", "box", "plane")
    flat = matrix.Case("image", "256", "zstd", (64, 64), "float32", (16, 16), (64, 64), most, box_edge=20)
    thin = matrix.Case("sparse", "32", "zstd", (32,) * 3, "uint16", (8,) * 3, (16,) * 3, most, box_edge=20)
    return [*volumes_, flat, thin]


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Every tiny case, measured with every subject."""
    folder = tmp_path_factory.mktemp("bench")
    workers = {name: Worker(name) for name in [*INSTALLED, LIMIT]}
    try:
        found = run_cases(tiny_cases(), workers, 1, folder)
    finally:
        for worker in workers.values():
            worker.close()
    assert not list(folder.iterdir())  # each case leaves nothing behind
    return found


@pytest.fixture
def results(cells, tmp_path):
    """Results with these cells."""
    return Results(
        date="2000-01-01",
        machine=describe(tmp_path),
        subjects=[Description(name, version_of(name), "as it comes") for name in NAMES],
        rounds=2,
        cells=cells,
        growth=[Growth("shards", [(1, 0.01), (2, 0.02), (4, 0.04)], 1.0)],
    )


def cell(name="smooth/32/zstd/read", bar=None, **medians):
    """A cell with given medians; `ours` stands for this package."""
    times = {OURS if subject == "ours" else subject: Times(s, s, s, 7) for subject, s in medians.items()}
    return Cell(name=name, nbytes=1, times=times, limit=None, bar=bar)


def test_matrix_has_every_cell():
    """Each inner chunk with each codec (the smallest with zstd alone) is measured on both kinds of data."""
    names = {case.cell(operation) for case in matrix.matrix() for operation in case.operations}
    plain = ("read", "write", "chunk", "box", "plane", "chunk_write")
    pairs = [(edge, codec) for edge in (16, 32, 64) for codec in ("none", "zstd", "blosc", "gzip")]
    for data in ("brain", "smooth"):
        for edge, codec in [*pairs, (8, "zstd")]:
            assert names >= {f"{data}/{edge}/{codec}/{operation}" for operation in plain}
        assert names >= {f"{data}/{edge}/zstd/pack" for edge in (16, 32, 64)}
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


def test_sizes_that_differ_by_more_than_2_percent_are_named():
    """Other settings on one side would show as another size."""
    one = replace(cell(ours=1, a=1, b=1), encoded_nbytes={OURS: 1000, "a": 1020, "b": 979})
    assert one.sizes_differ == ["b"]


def test_a_subject_that_reads_wrong_values_does_not_count(tmp_path):
    """A subject whose values differ is noted, and left out of the cell."""

    class Liar:
        def call(self, method, *args, **options):
            result = worker.call(method, *args, **options)
            return replace(result, digest="other") if method == "measure" else result

    case = replace(tiny_cases()[0], operations=("read",))
    worker = Worker("tensorstore")
    ours = Worker(OURS)
    try:
        (one,) = run_cases([case], {OURS: ours, "tensorstore": Liar()}, 1, tmp_path)
    finally:
        worker.close()
        ours.close()
    assert list(one.times) == [OURS]
    assert "wrong values" in one.notes["tensorstore"]


def test_a_subject_that_dies_is_an_error_not_a_hang():
    """The end of a worker's process is reported with its status."""
    worker = Worker(OURS)
    worker.call("setup")
    os.kill(worker._process.pid, 9)
    with pytest.raises(SubjectError, match="ended with status -9"):
        worker.call("setup")
    worker.close()


def test_ratio_is_to_the_fastest_peer():
    """The bar is measured against the best peer, not an average of them."""
    one = cell(bar=1.5, ours=2, a=6, b=4)
    assert (one.ratio, one.fastest_peer, one.reaches_bar) == (2, "b", True)
    assert not replace(one, bar=2.1).reaches_bar


def test_times_are_median_and_quartiles():
    """One outlier moves neither."""
    assert Times.of([1, 2, 3, 4, 100]) == Times(3, 2, 4, 5)
    assert Times.of([7]) == Times(7, 7, 7, 1)


def test_check_finds_cells_below_half_of_their_committed_ratio():
    """Less than half is a regression; half, and a cell that was not committed, are none."""
    before = [cell("a/1/z/read", ours=1, peer=3), cell("b/1/z/read", ours=1, peer=3)]
    half, less, new = (
        cell("a/1/z/read", ours=2, peer=3),
        cell("b/1/z/read", ours=2, peer=2.9),
        cell("c", ours=9, peer=1),
    )
    assert regressions([half, new], before) == []
    (found,) = regressions([half, less, new], before)
    assert (found.name, found.before, found.now) == ("b/1/z/read", 3, 1.45)


def test_check_counts_a_cell_that_can_no_longer_be_measured():
    """A cell in which this package fails is no better than a slow one."""
    (found,) = regressions([cell("a", peer=3)], [cell("a", ours=1, peer=3)])
    assert found.now is None


def test_results_survive_saving(results, tmp_path):
    """What is loaded is what was saved, and the file says what follows from it."""
    results.save(tmp_path / "results.json")
    assert Results.load(tmp_path / "results.json") == results
    document = json.loads((tmp_path / "results.json").read_text())
    assert {one["name"] for one in document["cells"]} == {one.name for one in results.cells}
    for one in document["cells"]:  # within a host this package is no peer of itself
        assert one["ratio"] == min(ratio for name, ratio in one["ratios"].items() if name != HOSTED)
    assert str(Path.home()) not in json.dumps(document)
    assert os.uname().nodename not in json.dumps(document["machine"])


def test_other_files_are_no_results(tmp_path):
    """A file of another kind or schema is refused, not half understood."""
    (tmp_path / "other.json").write_text('{"schema": 0}')
    with pytest.raises(ValueError, match="schema 1"):
        Results.load(tmp_path / "other.json")
    run = CliRunner().invoke(main, ["bench", "--from", str(tmp_path / "other.json")])
    assert run.exit_code == 1
    assert "expected benchmark results" in run.output


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_plot_makes_pictures(results, tmp_path, suffix):
    """The charts are pictures of the kind that their names say."""
    magic = {".png": b"\x89PNG", ".svg": b"<?xml"}[suffix]
    draw(results, tmp_path / f"chart{suffix}")
    draw_growth(results, tmp_path / f"growth{suffix}")
    for name in ("chart", "growth"):
        content = (tmp_path / f"{name}{suffix}").read_bytes()
        assert content.startswith(magic)
        assert len(content) > 10_000


def test_command_shows_checks_and_draws_from_a_file(results, tmp_path):
    """`--from` measures nothing; `--check` makes the exit status."""
    now, before = tmp_path / "now.json", tmp_path / "before.json"
    results.save(now)
    faster = [
        replace(
            one, times={n: t if n == OURS else replace(t, median=t.median * 3) for n, t in one.times.items()}
        )
        for one in results.cells
    ]
    replace(results, cells=faster).save(before)
    runner = CliRunner()
    good = runner.invoke(
        main, ["bench", "--from", str(now), "--check", str(now), "--plot", str(tmp_path / "a.png")]
    )
    assert good.exit_code == 0, good.output
    assert "cells reach their bar" in good.output
    assert {"a.png", "a-growth.png"} <= {path.name for path in tmp_path.iterdir()}
    bad = runner.invoke(main, ["bench", "--from", str(now), "--check", str(before)])
    assert bad.exit_code == 1
    assert "slower: " in bad.output


def test_only_a_pattern_that_matches_is_accepted():
    """A pattern that names no cell is bad usage, not an empty table."""
    run = CliRunner().invoke(main, ["bench", "--only", "no/such/cell"])
    assert run.exit_code == 2
    assert matrix.matching(matrix.matrix(), "smooth/32/zstd/read") == {"smooth/32/zstd/read"}
    assert len(matrix.matching(matrix.matrix(), "brain/*/gzip/read")) == 3


def test_memory_of_a_full_read_includes_the_output(tmp_path):
    """The peak rises by the output at least, for every subject, also in a small child of a large parent."""
    ballast = np.ones(50_000_000, "uint8")
    case = matrix.volume_cases("smooth", chunk_edges=(64,))[0]
    case = replace(case, codec="none")
    (found,) = measure_memory([case], INSTALLED, tmp_path)
    assert set(found.peak_nbytes) == set(INSTALLED)
    assert ballast.all()
    for peak in found.peak_nbytes.values():
        assert 0.9 * found.output_nbytes < peak < 10 * found.output_nbytes
    assert found.bar_nbytes > found.output_nbytes + bars.MEMORY_SLACK_NBYTES
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
