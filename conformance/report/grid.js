// A grid: rows down, implementations across, a button in each cell.

/** The table of a grid under a filter; `open(row, name)` is called when a cell is chosen. */
function gridTable(grid, filter, open) {
  const head = h("tr", {}, h("th.corner", { scope: "col" }, grid.part === "vectors" ? "Requirement" : ""),
    filter.names.map((name) => columnHead(implementations.get(name))));
  const bodies = grid.groups.map((group) => {
    const rows = group.rows.filter((row) => rowMatches(grid, row, filter));
    const title = group.title &&
      h("tr.section", {}, h("th", { scope: "rowgroup", colspan: filter.names.length + 1 }, h("span", {}, group.title)));
    return rows.length > 0 && h("tbody", {}, title, rows.map((row) => gridRow(grid, row, filter, open)));
  });
  const table = h("table.grid", { "data-part": grid.part, keydown: moveFocus }, h("thead", {}, head), bodies);
  table.querySelector("td button")?.setAttribute("tabindex", "0"); // one stop for Tab; arrows move within
  return table;
}

function columnHead(one) {
  const title = one.absent == null ? one.setup : `absent: ${one.absent}`;
  return h("th.column", { scope: "col", title }, h("span", {}, one.name), h("small", {}, one.version ?? "absent"));
}

function gridRow(grid, row, filter, open) {
  return h("tr", {},
    h("th.row", { scope: "row" }, h("span.id", {}, row.id), row.tag && h("span.tag", {}, row.tag),
      row.text && h("span.text", {}, row.text)),
    filter.names.map((name) => gridCell(grid, row, name, filter, open)));
}

function gridCell(grid, row, name, filter, open) {
  const list = cellOf(grid, row.id, name);
  if (list.length === 0) {
    const { absent } = implementations.get(name);
    return h("td.none", { title: absent ? `absent: ${absent}` : "nothing tried" }, absent ? "–" : "");
  }
  const [[worst]] = tally(list);
  const dim = filter.outcome && !list.some((result) => result.outcome.key === filter.outcome);
  const button = h("button", {
    type: "button",
    tabindex: "-1",
    "data-cell": cellKey(row.id, name),
    "aria-label": `${row.id}, ${name}: ${spoken(list)}`,
    title: spoken(list),
    click: () => open(row.id, name),
  }, grid.part === "cost" ? costText(list) : tally(list).map(([outcome, count]) => chip(outcome, count)));
  return h(`td.is-${worst.key}${dim ? ".dim" : ""}`, {}, button);
}

/** Requests and bytes of the first result, as multiples of the ideal. */
function costText(list) {
  const measured = list.find((result) => result.got?.requests !== undefined);
  if (!measured) return tally(list).map(([outcome, count]) => chip(outcome, count));
  const { requests, bytes, ideal_requests: idealRequests, ideal_bytes: idealBytes } = measured.got;
  const line = (text, times) => h(`span.cost${times > 1 ? ".more" : ""}`, {}, `${text} `, h("b", {}, ratioText(times)));
  return [
    line(`${requests} req.`, ratio(requests, idealRequests)),
    line(bytesText(bytes), ratio(bytes, idealBytes)),
  ];
}

/** Arrow keys, Home and End go from cell to cell. */
function moveFocus(event) {
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
    Home: [0, -Infinity], End: [0, Infinity] }[event.key];
  const from = event.target.closest("td");
  if (!step || !from) return;
  event.preventDefault();
  const rows = [...event.currentTarget.querySelectorAll("tbody tr:not(.section)")];
  let [at, column] = [rows.indexOf(from.parentElement), from.cellIndex];
  const direction = step[0] || Math.sign(step[1]);
  const last = from.parentElement.cells.length - 1;
  if (Math.abs(step[1]) === Infinity) column = direction < 0 ? 0 : last + 1;
  // On past cells that have no button: those of absent implementations.
  for (;;) {
    if (step[0]) at += direction;
    else column += Math.abs(step[1]) === Infinity ? -direction : direction;
    const cell = rows[at]?.cells[column];
    if (!cell || column < 1 || column > last) return;
    const button = cell.querySelector("button");
    if (button) return focusCell(button);
  }
}

function focusCell(button) {
  const table = button.closest("table");
  table.querySelector('td button[tabindex="0"]')?.setAttribute("tabindex", "-1");
  button.setAttribute("tabindex", "0");
  button.focus();
}
