// State and events: which tab, which filter, which cell. The address's fragment says tab and cell.

const at = (id) => document.getElementById(id);
const state = { tab: "overview", names: [...implementations.keys()], outcome: "", text: "", differences: false };
const tabs = [{ part: "overview", title: "Overview" }, ...grids.filter((grid) => grid.results.length > 0)];

function render() {
  for (const tab of at("tabs").children) {
    const chosen = tab.dataset.part === state.tab;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
  }
  at("main").setAttribute("aria-labelledby", `tab-${state.tab}`);
  const grid = grids.find(({ part }) => part === state.tab);
  at("filters").hidden = !grid;
  if (!grid) return fill(at("main"), overview(showOnly));
  // Of those that stand above a grid, only who took part in it, or could not.
  const filter = { ...state, names: state.names.filter((name) =>
    implementations.get(name).absent != null || grid.results.some((result) => result.implementation === name)) };
  const table = gridTable(grid, filter, (row, name) => { location.hash = fragment(grid.part, row, name); });
  const count = table.querySelectorAll("tbody tr:not(.section)").length;
  const all = grid.groups.reduce((sum, group) => sum + group.rows.length, 0);
  at("shown").textContent = `${count} of ${all} rows`;
  at("who-count").textContent = `${state.names.length} of ${implementations.size}`;
  fill(at("main"), h("p.intro", {}, grid.intro), h("div.scroll", {}, table),
    count === 0 && h("p.nothing", {}, "No row fits these filters."));
}

const fragment = (...parts) => `#${parts.map(encodeURIComponent).join("/")}`;

/** Follow the address: `#part`, or `#part/row/implementation`. */
function follow() {
  let [part, row, name] = location.hash.slice(1).split("/").map(decodeURIComponent);
  if (!tabs.some((tab) => tab.part === part)) part = "overview";
  if (part !== state.tab || !at("main").hasChildNodes()) {
    state.tab = part;
    render();
  }
  const grid = grids.find((one) => one.part === part);
  const found = Boolean(grid) && implementations.has(name) && grid.groups.some((group) => group.rows.some(({ id }) => id === row));
  for (const button of document.querySelectorAll("[aria-current]")) button.removeAttribute("aria-current");
  document.body.classList.toggle("with-panel", found);
  at("panel").hidden = !found;
  if (!found) return;
  fillPanel(at("panel"), grid, row, name, closePanel);
  at("panel").scrollTop = 0;
  at("panel-title").focus({ preventScroll: true });
  const button = document.querySelector(`[data-cell="${CSS.escape(cellKey(row, name))}"]`);
  button?.setAttribute("aria-current", "true");
  button?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function closePanel() {
  const button = document.querySelector("[aria-current]");
  history.pushState(null, "", fragment(state.tab));
  follow();
  if (button?.isConnected) focusCell(button);
}

/** From the overview to what a count counts. */
function showOnly(part, name, outcome) {
  Object.assign(state, { names: [name], outcome, text: "", differences: false });
  fillFilters();
  location.hash = fragment(part);
}

function setFilter(change) {
  Object.assign(state, change);
  render();
  follow();
}

function fillFilters() {
  at("search").value = state.text;
  fill(at("outcome"), h("option", { value: "" }, "any"),
    data.outcomes.map(({ key, sign, label }) => h("option", { value: key }, `${sign} ${label}`)));
  at("outcome").value = state.outcome;
  at("differences").checked = state.differences;
  fill(at("who-list"), [...implementations.keys()].map((name) => h("label.check", {},
    h("input", { type: "checkbox", value: name, checked: state.names.includes(name), change: readNames }), ` ${name}`)));
}

function readNames() {
  setFilter({ names: [...at("who-list").querySelectorAll(":checked")].map((box) => box.value) });
}

fill(at("tabs"), tabs.map(({ part, title }) => h("button", {
  type: "button", role: "tab", id: `tab-${part}`, "data-part": part, "aria-controls": "main",
  click: () => { location.hash = fragment(part); },
}, title)));
at("tabs").addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  const next = [...at("tabs").children].at((tabs.findIndex(({ part }) => part === state.tab) + step) % tabs.length);
  next.focus();
  next.click();
});
at("search").addEventListener("input", () => setFilter({ text: at("search").value }));
at("outcome").addEventListener("change", () => setFilter({ outcome: at("outcome").value }));
at("differences").addEventListener("change", () => setFilter({ differences: at("differences").checked }));
at("reset").addEventListener("click", () => {
  setFilter({ names: [...implementations.keys()], outcome: "", text: "", differences: false });
  fillFilters();
});
addEventListener("hashchange", follow);
addEventListener("keydown", (event) => { if (event.key === "Escape" && !at("panel").hidden) closePanel(); });
fillHeader();
fillLegend(at("legend-list"));
fillFilters();
follow();
