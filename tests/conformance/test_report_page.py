"""The page in a browser: what is to be seen, what a filter leaves, what a click shows, what keys do.

Needs a Chromium on the PATH, and fails without one: `pytest -m browser`.
"""

from __future__ import annotations

import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

from conformance.report.loading import load
from conformance.report.page import REQUIREMENTS, page, read_requirements

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser():
    """The system's Chromium, without a network."""
    paths = [path for name in NAMES if (path := shutil.which(name))]
    assert paths, f"the browser tests need one of {', '.join(NAMES)}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=paths[0], args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def url(results_file, tmp_path):
    """The page of made-up results, as a file."""
    case = {"title": "Index at neither end", "made_by": {"name": "hand", "version": "1"}, "expect": "refuse"}
    known = {"case-13": {**case, "why": "LOCATION-VALUES", "reason": "wrong_value", "selections": []}}
    path = tmp_path / "page.html"
    path.write_text(page(load(results_file), known, read_requirements(REQUIREMENTS)))
    return path.as_uri()


@pytest.fixture(params=[(1400, 900), (390, 800)], ids=["wide", "narrow"])
def tab(browser, request):
    """A tab; the test fails if its console has an error."""
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height}, offline=True)
    tab = context.new_page()
    errors = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda message: errors.append(message.text))
    yield tab
    assert errors == []
    context.close()


def rows(tab):
    """The rows of the grid."""
    return tab.locator("table.grid tbody tr:not(.section)")


def cell(tab, row, name):
    """The button of one cell."""
    return tab.locator(f"""button[data-cell='["{row}","{name}"]']""")


def test_the_overview_counts_and_leads_to_what_it_counts(tab, url):
    """A count in the overview shows its rows: one implementation, one outcome."""
    tab.goto(url)
    expect(tab.locator("#lead")).to_contain_text("1 of them gave wrong data")
    expect(tab.locator("#lead")).to_contain_text("2000-01-01")
    tab.get_by_role("button", name="zarrita: 18 wrong data; show them").click()
    expect(tab.locator("table.grid thead th")).to_have_count(2)
    expect(rows(tab)).to_have_count(tab.locator("td.is-wrong_data").count())
    assert tab.locator("td.is-wrong_data").count() > 3


def test_filters_leave_the_rows_that_fit(tab, url):
    """Search, outcome, implementations and differences narrow the grid; clearing brings all back."""
    tab.goto(f"{url}#vectors")
    expect(rows(tab)).to_have_count(43)
    tab.get_by_label("Search").fill("location")
    assert 3 <= rows(tab).count() < 20
    tab.get_by_label("Search").fill("no such thing")
    expect(tab.get_by_text("No row fits")).to_be_visible()
    tab.get_by_role("button", name="Clear filters").click()
    expect(rows(tab)).to_have_count(43)
    tab.get_by_label("Outcome").select_option("crash")
    count = rows(tab).count()
    assert 0 < count < 43
    expect(tab.locator("#shown")).to_have_text(f"{count} of 43 rows")
    tab.get_by_role("button", name="Clear filters").click()
    tab.get_by_label("only differences").check()
    assert 0 < rows(tab).count() < 43
    tab.locator("#who summary").click()
    for name in ("tensorstore", "zarrs", "zarrita", "zarrita (Python)"):
        tab.get_by_label(name, exact=True).uncheck()
    expect(rows(tab)).to_have_count(0)  # those who are left never differ
    expect(tab.locator("#who-count")).to_have_text("3 of 7")


def test_a_click_on_a_cell_shows_its_cases(tab, url):
    """Expected, got, message, maker; the address links to it; Escape closes it and goes back to the cell."""
    tab.goto(f"{url}#vectors")
    cell(tab, "LOCATION-VALUES", "zarrita").scroll_into_view_if_needed()
    cell(tab, "LOCATION-VALUES", "zarrita").click()
    panel = tab.get_by_role("dialog")
    expect(panel).to_be_visible()
    expect(panel.get_by_role("heading", name="LOCATION-VALUES · zarrita")).to_be_visible()
    expect(panel).to_contain_text("Error: <b>Unknown</b> codec </script>")
    assert tab.url.endswith("#vectors/LOCATION-VALUES/zarrita")
    tab.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(cell(tab, "LOCATION-VALUES", "zarrita")).to_be_focused()


def test_a_link_opens_its_cell(tab, url):
    """An address with a cell shows what the cell holds, with the vector's title, due outcome and maker."""
    tab.goto(f"{url}#vectors/LOCATION-DEFAULT/zarrita")
    panel = tab.get_by_role("dialog")
    expect(panel).to_contain_text("Index at neither end")
    expect(panel).to_contain_text("a refusal (wrong_value)")
    expect(panel).to_contain_text("hand 1")
    expect(panel).to_contain_text("[0, 0, 0, 0]")
    expect(panel).to_be_in_viewport()


def test_wrong_data_stands_out_from_refusal(tab, url):
    """A cell with wrong data is filled, one with a refusal is not, and their signs differ."""
    tab.goto(f"{url}#vectors")
    fill = "element => getComputedStyle(element).backgroundColor"
    assert tab.locator("td.is-wrong_data").first.evaluate(fill) == "rgb(168, 0, 60)"
    assert tab.locator("td.is-refused").first.evaluate(fill) == "rgba(0, 0, 0, 0)"
    expect(tab.locator("td.is-wrong_data .chip.wrong_data").first).to_contain_text("≠")
    expect(tab.locator("td.is-refused .chip.refused").first).to_contain_text("R")


def test_keys_go_from_cell_to_cell_and_from_part_to_part(tab, url):
    """Tab reaches the grid once; arrows move in it, past what is absent, and between parts; Enter opens."""
    tab.goto(f"{url}#vectors")
    cell(tab, "NAME", "this package").focus()
    tab.keyboard.press("ArrowRight")
    expect(cell(tab, "NAME", "this package (async)")).to_be_focused()
    tab.keyboard.press("End")
    expect(cell(tab, "NAME", "zarrita")).to_be_focused()
    tab.keyboard.press("ArrowDown")
    expect(cell(tab, "CHUNK-SHAPE-INTEGERS", "zarrita")).to_be_focused()
    expect(tab.locator("table.grid [tabindex='0']")).to_have_count(1)
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("dialog")).to_be_visible()
    tab.get_by_role("tab", name="Requirements").focus()
    tab.keyboard.press("ArrowRight")
    expect(tab.get_by_role("tab", name="Writers × readers")).to_have_attribute("aria-selected", "true")
    expect(rows(tab)).to_have_count(6)


def test_cost_is_shown_against_the_ideal(tab, url):
    """Requests and bytes stand beside how many times the ideal they are."""
    tab.goto(f"{url}#cost")
    expect(cell(tab, "a whole shard", "zarrs")).to_contain_text("4 req. ×2.0")
    expect(cell(tab, "a whole shard", "this package")).to_contain_text("2 req. ×1")
    cell(tab, "a whole shard", "zarrs").click()
    expect(tab.get_by_role("dialog")).to_contain_text("3000 (ideal 1000)")


def test_the_page_fits_its_window(tab, url):
    """Nothing makes the page itself scroll sideways; wide tables scroll within."""
    for fragment in ("", "#vectors", "#matrix", "#updates", "#cost", "#vectors/NAME/zarrita"):
        tab.goto(url + fragment)
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), fragment
