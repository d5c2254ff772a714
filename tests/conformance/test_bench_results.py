"""What becomes of measurements: ratios, the verdict, comparison with a run before, pictures."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from conformance.__main__ import main
from conformance.bench import bars, hosted, session
from conformance.bench.machine import describe
from conformance.bench.reasons import load_reasons, pattern_of
from conformance.bench.regressions import regressions
from conformance.bench.results import Cell, Growth, Memory, Requirement, Results, Times
from conformance.bench.subjects import HOSTED, NAMES, OURS, Description
from conformance.bench.verdict import misses, names_with_bar


def cell(name="smooth/32/zstd/read", bar=None, **medians):
    """A cell with given medians; `ours` and `hosted` stand for this package, `_` for `-`."""
    names = {"ours": OURS, "hosted": HOSTED}
    times = {names.get(one, one.replace("_", "-")): Times(s, s, s, 7) for one, s in medians.items()}
    return Cell(name=name, nbytes=1, times=times, limit=None, bar=bar)


def results_of(*cells, setup="as it comes", **more):
    """Results with these cells; every subject is set up in the same way."""
    return Results(
        date="2000-01-01",
        machine=describe(Path.cwd()),
        subjects=[Description(name, "1.0", setup) for name in NAMES],
        rounds=2,
        cells=list(cells),
        **more,
    )


@pytest.fixture
def results():
    """Results of the cells of a run in brief, with all that a whole run has, too."""
    names = sorted(session.cells_in_brief())
    seconds = {"ours": 1.0, "hosted": 1.2, "tensorstore": 2.5, "zarr_python": 3.0, "zarrs": 1.5}
    return results_of(
        *(cell(name, bar=1.2, **seconds) for name in names),
        memory=[Memory("smooth/32/none", {OURS: 40_000_000}, 33_554_432, {OURS: 68_000_000, HOSTED: 1})],
        requirements=[Requirement("million/chunk", 0.0001, 0.001), Requirement("a/b", None, 1, "it failed")],
        growth=[Growth("shards", [(1, 0.01), (2, 0.02), (4, 0.04)], 1.0)],
    )


def test_sizes_that_differ_by_more_than_2_percent_are_named():
    """Other settings on one side would show as another size."""
    one = replace(cell(ours=1, a=1, b=1), encoded_nbytes={OURS: 1000, "a": 1020, "b": 979})
    assert one.sizes_differ == ["b"]


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
    before = results_of(cell("a/1/z/read", ours=1, zarrs=3), cell("b/1/z/read", ours=1, zarrs=3))
    half, less, new = (
        cell("a/1/z/read", ours=2, zarrs=3),
        cell("b/1/z/read", ours=2, zarrs=2.9),
        cell("c", ours=9, zarrs=1),
    )
    assert regressions(results_of(half, new), before) == (1, [])
    compared, (found,) = regressions(results_of(half, less, new), before)
    assert (compared, found.name, found.before, found.now) == (2, "b/1/z/read", 3, 1.45)


def test_check_counts_a_cell_that_can_no_longer_be_measured():
    """A cell in which this package fails is no better than a slow one."""
    before = results_of(cell("a", ours=1, zarrs=3))
    compared, (found,) = regressions(results_of(cell("a", zarrs=3)), before)
    assert (compared, found.now) == (1, None)


def test_check_compares_with_peers_that_both_runs_have_set_up_alike():
    """Another pipeline of zarr-python, and a peer that only one run has, say nothing about this package."""
    before = results_of(cell("a", ours=1, tensorstore=3, zarr_python=2, zarrs=1))
    now = results_of(cell("a", ours=2, tensorstore=2.9, zarr_python=20))
    other = [
        replace(one, setup="another pipeline") if one.name == "zarr-python" else one for one in now.subjects
    ]
    _, (found,) = regressions(replace(now, subjects=other), before)
    assert (found.before, found.now) == (3, 1.45)  # tensorstore's
    assert regressions(now, before)[1] == []  # 2 times as fast as the fastest of the two, as before 2


def test_check_fails_if_nothing_can_be_compared(results, tmp_path):
    """A check that compares nothing is no check."""
    now, before = tmp_path / "now.json", tmp_path / "before.json"
    results.save(now)
    setups = [replace(one, setup="set up otherwise") for one in results.subjects]
    replace(results, subjects=setups).save(before)
    run = CliRunner().invoke(main, ["bench", "--from", str(now), "--check", str(before)])
    assert run.exit_code == 1
    assert "no cell with the same peer" in run.output


@pytest.mark.parametrize(("seconds", "status", "looks"), [(1, 0, 1), (9, 1, 2)])
def test_check_measures_slow_cells_again(monkeypatch, tmp_path, seconds, status, looks):
    """One spike of noise fails nothing; what stays slow does. Only slow cells are measured again."""
    file = tmp_path / "before.json"
    good = cell("smooth/32/zstd/read", ours=1, zarrs=3)
    results_of(good, replace(good, name="smooth/16/zstd/read")).save(file)
    asked = []

    def measure(cells, rounds, folder, *, whole):
        asked.append((cells, folder, whole))
        ours = 9 if rounds == 1 else seconds
        found = [replace(good, name=name) for name in sorted(cells)]
        return results_of(*found[:-1], cell(found[-1].name, ours=ours, zarrs=3))

    monkeypatch.setattr("conformance.bench.command.measure", measure)
    pattern = "smooth/[13][26]/zstd/read"
    run = CliRunner().invoke(main, ["bench", "--only", pattern, "--rounds", "1", "--check", str(file)])
    assert run.exit_code == status, run.output
    both = {"smooth/32/zstd/read", "smooth/16/zstd/read"}
    assert asked == [(both, None, False), *[({"smooth/32/zstd/read"}, None, False)] * looks]
    assert ("slower: smooth/32/zstd/read" in run.output) == bool(status)
    assert "2 cells compared with 2000-01-01: 1 far slower" in run.output
    assert f"measured once more: {status} far slower" in run.output


def test_verdict_names_what_is_missed_and_why(monkeypatch):
    """Cells, zarr-python with this package, memory and seconds: each miss has its name and its reason."""
    reasons = {"smooth/*": "Memory is slow.", "*": "Too late."}
    monkeypatch.setattr("conformance.bench.verdict.load_reasons", lambda: reasons)
    found = misses(
        results_of(
            cell("smooth/32/zstd/read", bar=2, ours=1, hosted=1, zarr_python=1.2, zarrs=1.1, tensorstore=5),
            cell("smooth/16/zstd/box", bar=1, ours=1, zarrs=1.1),
            cell("image/256/zstd/read", zarrs=1),
            memory=[Memory("smooth/32/none", {OURS: 60, HOSTED: 43}, 30, {OURS: 60, HOSTED: 42})],
            requirements=[Requirement("million/chunk", 2, 1), Requirement("million/inspect", 1, 1)],
        )
    )
    assert [(miss.name, miss.reason) for miss in found] == [
        ("smooth/32/zstd/read", "Memory is slow."),
        ("image/256/zstd/read", "Too late."),
        ("hosted/smooth/32/zstd/read/zarr-python", "Too late."),
        ("hosted/memory/smooth/32/none", "Too late."),
        ("million/chunk", "Too late."),
    ]
    assert found[0].found == "1.10 times as fast as zarrs, the bar is 2"


def test_a_miss_without_a_reason_says_so(monkeypatch, tmp_path):
    """What nobody has explained is printed as such."""
    monkeypatch.setattr("conformance.bench.verdict.load_reasons", dict)
    results_of(cell(bar=2, ours=1, zarrs=1)).save(tmp_path / "now.json")
    run = CliRunner().invoke(main, ["bench", "--from", str(tmp_path / "now.json")])
    assert "no reason is given" in run.output


def test_reasons_are_of_cells_that_there_are(tmp_path):
    """Each pattern is the first one that matches something with a bar; each reason is one line."""
    names = names_with_bar()

    def idle(reasons):
        return set(reasons) - {pattern_of(name, reasons) for name in names}

    reasons = load_reasons()
    assert idle(reasons) == set()
    assert all(text and "\n" not in text for text in reasons.values())
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(
        '"*/zstd/read" = "a"\n"smooth/32/zstd/read" = "hidden"\n"smooth/9/zstd/read" = "absent"\n'
    )
    assert idle(load_reasons(wrong)) == {"smooth/32/zstd/read", "smooth/9/zstd/read"}


def test_everything_with_a_bar_has_a_name():
    """Names cover cells, strategies, zarr-python with this package, memory, and bars in seconds."""
    names = names_with_bar()
    assert names >= {
        "smooth/32/zstd/read",
        "image/256/zstd/plane",
        "writes/32/none/append",
        "hosted/brain/16/blosc/chunk_write/zarrs",
        "hosted/smooth/32/none/rows",
        "memory/image/256/zstd",
        "hosted/memory/smooth/32/gzip",
        "million/inspect",
        "contention/eight writers",
    }
    assert not {"smooth/8/zstd/write", "writes/32/zstd/in_place", "hosted/smooth/64/zstd/read/zarrs"} & names


def test_zarr_python_is_compared_where_there_are_bars():
    """Full reads and writes, single inner chunks read and written, at 32³ and 16³, with three codecs."""
    cells = [cell(name, hosted=1, zarr_python=2, zarrs=2) for name in sorted(session.all_cells())]
    found = {one.name: one for one in hosted.comparisons(cells)}
    assert len(found) == 2 * 2 * 3 * 4  # data, inner chunks, codecs, operations
    assert found["smooth/32/none/read"].misses == []
    assert found["smooth/16/none/read"].misses == ["zarr-python"]
    assert found["brain/32/blosc/chunk"].misses == ["zarr-python", "zarrs"]
    assert found["brain/32/blosc/chunk"].bars == bars.HOSTED_RATIOS["32"]["chunk"]


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
    with pytest.raises(ValueError, match="schema 2"):
        Results.load(tmp_path / "other.json")
    run = CliRunner().invoke(main, ["bench", "--from", str(tmp_path / "other.json")])
    assert run.exit_code == 1
    assert "expected benchmark results" in run.output


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
        main, ["bench", "--from", str(now), "--check", str(now), "--plot", str(tmp_path / "a.svg")]
    )
    assert good.exit_code == 0, good.output
    assert "cells reach their bar" in good.output
    assert "zarr-python with this package" in good.output
    for name in ("a.svg", "a-growth.svg"):
        content = (tmp_path / name).read_bytes()
        assert content.startswith(b"<?xml")
        assert len(content) > 10_000
    bad = runner.invoke(main, ["bench", "--from", str(now), "--check", str(before)])
    assert bad.exit_code == 1
    assert "slower: " in bad.output


def test_only_a_pattern_that_matches_is_accepted():
    """A pattern that names no cell is bad usage, not an empty table."""
    run = CliRunner().invoke(main, ["bench", "--only", "no/such/cell"])
    assert run.exit_code == 2
    assert session.matching("smooth/32/zstd/read") == {"smooth/32/zstd/read"}
    assert len(session.matching("brain/*/gzip/read")) == 3
    assert session.matching("writes/") == {
        *(f"writes/32/none/{one}" for one in ("replace", "append", "in_place", "hosted_append")),
        *(f"writes/32/zstd/{one}" for one in ("replace", "append", "hosted_append")),
    }
