// The data, unpacked, and questions about them. Nothing here knows the page.

const data = JSON.parse(document.getElementById("data").textContent);
const outcomes = new Map(data.outcomes.map((outcome, rank) => [outcome.key, { ...outcome, rank }]));
const implementations = new Map(data.implementations.map((one) => [one.name, one]));

/** One row of `page.py`'s list as an object. */
function unpack(row) {
  const [part, implementation, name, outcome, selection, writer, updater, expected, got, message, operation] = row;
  const text = (number) => (number == null ? null : data.texts[number]);
  return {
    part: text(part),
    implementation: text(implementation),
    name: text(name),
    outcome: outcomes.get(text(outcome)),
    selection: selection ?? null,
    writer: text(writer),
    updater: text(updater),
    expected: text(expected),
    got: typeof got === "object" ? got : text(got),
    message: text(message),
    operation: text(operation) ?? "read",
  };
}

const results = data.results.map(unpack);

/** The parts of the report that are grids: what a row stands for, and which rows a result belongs to. */
const grids = [
  {
    part: "vectors",
    title: "Requirements",
    intro:
      "Vectors are small arrays with known values. A row is a requirement of the specification and holds the " +
      "vectors that exercise it; a vector may stand in several rows. Each is read whole and in part.",
    rowsOf: (result) => data.cases[result.name].requirements,
    groups: data.sections.map((section) => ({
      title: section.title,
      rows: section.requirements.map(({ id, level, text }) => ({ id, text, tag: level })),
    })),
  },
  {
    part: "matrix",
    title: "Writers × readers",
    intro: "Every writer (down) writes the same arrays, and every reader (across) reads them. Where a row meets its " +
      "own column, the writing itself is judged as well, by tensorstore and this package.",
    rowsOf: (result) => [result.writer],
  },
  {
    part: "updates",
    title: "Updates",
    intro: "One implementation writes an array, another overwrites a part of it (down), a third reads it (across). " +
      "The updating is judged in the updater's column.",
    rowsOf: (result) => [`${result.writer} → ${result.updater}`],
  },
  {
    part: "cost",
    title: "Cost",
    intro:
      "How many requests and how many bytes a read takes, against the least that the format allows: " +
      "the index, and the bytes that were asked for.",
    rowsOf: (result) => [result.name],
  },
];

for (const grid of grids) {
  grid.results = results.filter((result) => result.part === grid.part);
  grid.cells = new Map();
  for (const result of grid.results)
    for (const row of grid.rowsOf(result)) {
      const key = cellKey(row, result.implementation);
      if (!grid.cells.has(key)) grid.cells.set(key, []);
      grid.cells.get(key).push(result);
    }
  grid.groups ??= [{ title: null, rows: [...new Set(grid.results.flatMap(grid.rowsOf))].map((id) => ({ id })) }];
}

function cellKey(row, implementation) {
  return JSON.stringify([row, implementation]);
}

/** The results of a cell; an implementation that was not there has none. */
function cellOf(grid, row, implementation) {
  return grid.cells.get(cellKey(row, implementation)) ?? [];
}

/** [[outcome, how many], …] of some results, the gravest first. */
function tally(list) {
  const counts = new Map();
  for (const { outcome } of list) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => a.rank - b.rank);
}

/** How often more a cost is than the ideal one, 1 for as good as can be. */
function ratio(value, ideal) {
  return ideal ? value / ideal : value ? Infinity : 1;
}

/** Everything of a result that a search looks at. */
function searchText(result) {
  const { title = "" } = data.cases[result.name] ?? {};
  return `${result.name} ${title} ${result.expected ?? ""} ${result.got ?? ""} ${result.message ?? ""}`.toLowerCase();
}

/** Whether a row is to be seen. `filter`: names, outcome (key or ""), text, differences. */
function rowMatches(grid, row, filter) {
  const cells = filter.names.map((name) => cellOf(grid, row.id, name));
  if (filter.outcome && !cells.some((cell) => cell.some((result) => result.outcome.key === filter.outcome)))
    return false;
  if (filter.differences && !differ(cells)) return false;
  const words = filter.text.toLowerCase();
  if (!words || `${row.id} ${row.text ?? ""}`.toLowerCase().includes(words)) return true;
  return cells.some((cell) => cell.some((result) => searchText(result).includes(words)));
}

/** Whether those that were tried had different outcomes, case by case. */
function differ(cells) {
  const seen = new Map();
  for (const { name, selection, writer, updater, outcome, got } of cells.flat()) {
    if (!outcome.tried) continue;
    const key = JSON.stringify([name, selection, writer, updater]);
    const value = got?.requests === undefined ? outcome.key : JSON.stringify(got);
    if (!seen.has(key)) seen.set(key, value);
    else if (seen.get(key) !== value) return true;
  }
  return false;
}
