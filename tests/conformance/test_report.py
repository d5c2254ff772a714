"""The report: what it accepts, the summary in the README, and a page that holds everything it shows."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from conformance.__main__ import main
from conformance.report import command
from conformance.report.loading import ResultsError, load
from conformance.report.outcomes import HOST, OUTCOMES
from conformance.report.page import REQUIREMENTS, VECTORS, page, read_cases, read_requirements
from conformance.report.summary import BEGIN, END, place, summary
from conformance.run.judging import GRAVEST_FIRST


def report(*arguments):
    """Run the command; give its output."""
    result = CliRunner().invoke(main, ["report", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_summary_counts_each_result_once(results_file):
    """Passes are out of what was tried; wrong data is bold; who is absent has no numbers, and says why."""
    lines = {line.split("|")[1].strip(): line for line in report("--from", results_file).splitlines()[2:]}
    assert len(lines) == 7
    count = [part.strip() for part in lines["zarrita (JavaScript)"].split("|")[2:-1]]
    assert count == ["0.7.5", "108 of 180", "**18**", "18", "18", "18", "12 of 24", "18 of 18"]
    batched = [part.strip() for part in lines["zarr-python (batched) (Python)"].split("|")[2:-1]]
    assert batched[1] == "60 of 60"  # 120 partial reads are unsupported, not failures
    assert "absent: needs Python 3.11" in lines["zarrita (Python) (Python)"]
    assert not re.search(r"\d", lines["zarrita (Python) (Python)"].split("3.11")[1])


def test_what_a_host_does_anyway_is_counted_with_the_host(results_document, tmp_path):
    """Neither the summary nor the page counts it against who runs inside; both say how often it came."""
    hosted = [one for one in results_document["cells"] if one["implementation"] == "zarrs"]
    hosted = [one for one in hosted if one["outcome"] == "crash"]
    for cell in hosted:
        cell["host"] = True
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results_document))
    text = summary(load(path))
    assert "| zarrs (Rust) | 0.2.3 | 162 of 162 | 0 | 0 | 0 | 0 |" in text
    assert f"zarrs: without the {len(hosted)} results that its host has" in text
    data = data_of(page(load(path), {}, read_requirements(REQUIREMENTS)))
    outcomes = Counter(data["texts"][row[3]] for row in data["results"])
    assert (outcomes["host"], outcomes["crash"]) == (len(hosted), 0)


def test_a_pipe_in_a_name_does_not_break_the_table(results_document, tmp_path):
    """Whatever a name holds, each line has as many cells as the head."""
    results_document["implementations"][-1]["absent"] = "needs a|b\nand c"
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results_document))
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in summary(load(path)).splitlines()}
    assert widths == {10}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format=2), "format 1"),
        (lambda d: d.update(cells=[]), "no results"),
        (lambda d: d["cells"][0].update(outcome="fine"), "unknown outcome 'fine'"),
        (lambda d: d["cells"][0].update(part="other"), "unknown part 'other'"),
        (lambda d: d["cells"][0].update(implementation="nobody"), "unknown implementation 'nobody'"),
        (lambda d: d["cells"][0].pop("case"), "'case'"),
        (lambda d: d.pop("machine"), "'machine'"),
    ],
)
def test_what_is_no_results_file_is_an_error(results_document, tmp_path, change, message):
    """Nothing is shown of a file that cannot be understood whole."""
    change(results_document)
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results_document))
    with pytest.raises(ResultsError, match=message):
        load(path)
    result = CliRunner().invoke(main, ["report", "--from", str(path)])
    assert result.exit_code == 1
    assert message in result.output


def test_a_file_that_is_not_there_is_an_error_in_one_line(tmp_path):
    """No traceback for a wrong path, or for what is not JSON."""
    (tmp_path / "text").write_text("no")
    for name in ("none.json", "text"):
        result = CliRunner().invoke(main, ["report", "--from", str(tmp_path / name)])
        assert result.exit_code == 1
        assert result.output.startswith("Error: ")
        assert result.output.count("\n") == 1


def test_the_readme_changes_between_its_markers_alone(results_file, tmp_path, monkeypatch):
    """`--readme` replaces the block, twice the same, and leaves the rest as it was."""
    readme = tmp_path / "README.md"
    readme.write_text(f"# before\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    monkeypatch.setattr(command, "README", readme)
    report("--from", results_file, "--readme")
    once = readme.read_text()
    report("--from", results_file, "--readme")
    assert readme.read_text() == once
    assert once == f"# before\n\n{BEGIN}\n{report('--from', results_file)}{END}\n\nafter\n"


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{BEGIN}{END}", f"{BEGIN}{END}{END}"])
def test_a_readme_without_markers_is_refused(text):
    """Where the block belongs is never guessed."""
    with pytest.raises(ValueError, match="expected the lines"):
        place(text, "block\n")


def data_of(html):
    """The JSON that a page holds."""
    return json.loads(html.partition('id="data">')[2].partition("</script>")[0])


def test_the_page_needs_nothing_but_itself(results_file, tmp_path):
    """No address of a network, no other file: all is in it, and a policy forbids the rest."""
    path = tmp_path / "page.html"
    report("--from", results_file, "--html", path)
    html = path.read_text()
    assert not re.search(r"(src|href)\s*=|url\(|@import|\bimport\b|fetch\(|https?://", html)
    assert "default-src 'none'" in html
    assert "@@" not in html
    report("--from", results_file, "--html", tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text() == html


def test_the_page_holds_every_result(results_file, results_document):
    """What the results file says is in the page: each cell, each implementation, each requirement."""
    requirements = read_requirements(REQUIREMENTS)
    data = data_of(page(load(results_file), {}, requirements))
    assert len(data["results"]) == len(results_document["cells"])
    assert [one["name"] for one in data["implementations"]] == [
        one["name"] for one in results_document["implementations"]
    ]
    assert [row["id"] for section in data["sections"] for row in section["requirements"]] == [
        one["id"] for one in requirements
    ]
    for row, cell in zip(data["results"], results_document["cells"], strict=True):
        texts = [data["texts"][number] for number in row[:4]]
        assert texts == [cell["part"], cell["implementation"], cell["case"], cell["outcome"]]


def test_the_page_says_what_a_vector_is(results_file):
    """Title, maker, why and selections come from the vector's description."""
    case = {
        "title": "An index of ones",
        "expect": "refuse",
        "why": "Because.",
        "reason": "entry_half_empty",
        "made_by": {"name": "hand", "version": "1"},
        "selections": [{"selection": [[0, 4, 1], 7, [0, 8, 2]]}, {"selection": []}],
        "values": [1, 2, 3],
    }
    shown = data_of(page(load(results_file), {"case-00": case}, read_requirements(REQUIREMENTS)))["cases"]
    assert shown["case-00"] == {
        **{key: case[key] for key in ("title", "expect", "why", "reason", "made_by")},
        "selections": ["[0:4, 7, 0:8:2]", "[()]"],
        "requirements": ["NAME"],
    }


def test_outcomes_are_told_apart_without_colours():
    """Each outcome has a sign of its own, one character long, and words."""
    assert [outcome.key for outcome in OUTCOMES if outcome is not HOST] == list(GRAVEST_FIRST)
    assert len({outcome.sign for outcome in OUTCOMES}) == len(OUTCOMES)
    assert {len(outcome.sign) for outcome in OUTCOMES} == {1}
    assert all(outcome.meaning.endswith(".") for outcome in OUTCOMES)


def test_the_committed_readme_says_what_the_committed_results_give():
    """conformance/README.md has the summary of conformance/results.json, and its page stays below 1.5 MB."""
    readme = command.README.read_text(encoding="utf-8")
    results = load(command.RESULTS)
    assert place(readme, summary(results)) == readme
    html = page(results, read_cases(VECTORS), read_requirements(REQUIREMENTS))
    assert len(html.encode()) < 1.5e6
    cases = data_of(html)["cases"]
    assert {held for case in cases.values() for held in case["requirements"]} == {
        one["id"] for one in read_requirements(REQUIREMENTS)
    }


def test_scripts_and_style_are_where_the_page_looks_for_them():
    """Each script and style in the folder is in the page."""
    folder = Path(command.__file__).parent
    from conformance.report.page import _SCRIPTS

    assert sorted(path.name for path in folder.glob("*.js")) == sorted(_SCRIPTS)
