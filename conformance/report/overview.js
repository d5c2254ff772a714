// The first thing to see: one line an implementation, and what the signs mean.

/** `show(part, name, outcome)` is called when a count is chosen. */
function overview(show) {
  const parts = grids.filter((grid) => grid.part !== "cost" && grid.results.length > 0);
  return h("div.overview", {}, parts.map((grid) => scoreboard(grid, show)));
}

function scoreboard(grid, show) {
  const present = grid.results.map((result) => result.outcome);
  const shown = data.outcomes.filter(({ key }) => present.some((outcome) => outcome.key === key));
  const head = h("tr", {}, h("th", { scope: "col" }, "Implementation"), h("th.share", { scope: "col" }, "Right"),
    shown.map(({ key, label }) => h("th.count", { scope: "col" }, chip(outcomes.get(key)), h("small", {}, label))));
  const rows = [...implementations.values()].map((one) => {
    const list = grid.results.filter((result) => result.implementation === one.name);
    return h("tr", {}, implementationHead(one), h("td.share", {}, bar(list)), shown.map(({ key, label }) => {
      const count = list.filter((result) => result.outcome.key === key).length;
      return h(`td.count${count ? `.is-${key}` : ""}`, {}, count === 0 ? "·" : h("button", {
        type: "button",
        "aria-label": `${one.name}: ${count} ${label}; show them`,
        click: () => show(grid.part, one.name, key),
      }, count));
    }));
  });
  return h("section.board", {}, h("h2", {}, readersTitle[grid.part]), h("div.scroll", { tabindex: "0" },
    h("table.scores", {}, h("thead", {}, head), h("tbody", {}, rows))));
}

const readersTitle = {
  vectors: "Reading the vectors, whole and in part",
  matrix: "Reading what the others write",
  updates: "Reading what one wrote and another updated",
};

function implementationHead(one) {
  return h("th.row", { scope: "row" }, h("span.id", {}, one.name), " ", h("small", {}, one.version ?? ""),
    h("span.text", {}, one.absent ? `absent: ${one.absent}` : [one.language, one.setup].filter(Boolean).join(" · ")));
}

/** How outcomes share a line; what was not tried takes no part. */
function bar(list) {
  const tried = list.filter(({ outcome }) => outcome.tried);
  if (tried.length === 0) return "–";
  const passes = tried.filter(({ outcome }) => outcome.key === "pass").length;
  const percent = passes === tried.length ? 100 : Math.min(99.9, (100 * passes) / tried.length);
  return [
    h("div.bar", { "aria-hidden": "true" }, tally(tried).reverse().map(([outcome, count]) =>
      h(`i.is-${outcome.key}`, { style: `flex-grow:${count}`, title: `${count} ${outcome.label}` }))),
    h("small", {}, `${percent.toFixed(percent === 100 ? 0 : 1)} % of ${tried.length}`),
  ];
}

function fillLegend(list) {
  fill(list, data.outcomes.map(({ key, label, meaning }) =>
    h("div", {}, h("dt", {}, chip(outcomes.get(key)), ` ${label}`), h("dd", {}, meaning))));
}

function fillHeader() {
  const present = [...implementations.values()].filter((one) => one.absent == null);
  const wrong = present.filter((one) => results.some((result) =>
    result.implementation === one.name && result.outcome.key === "wrong_data"));
  const vectors = Object.keys(data.cases).length;
  fill(document.getElementById("lead"),
    data.machine.date && `${data.machine.date}: `,
    `${present.length} implementations read ${vectors} vectors, and what each other wrote. `,
    wrong.length
      ? h("strong", {}, chip(outcomes.get("wrong_data")), ` ${wrong.length} of them gave wrong data without an error.`)
      : "None gave wrong data.",
  );
  const facts = Object.entries(data.machine).map(([key, value]) => [
    key.replaceAll("_", " "),
    typeof value === "object" && value !== null
      ? Object.entries(value).map(([name, version]) => `${name} ${version}`).join(", ")
      : String(value),
  ]);
  for (const one of implementations.values())
    facts.push([one.name, one.absent ? `absent: ${one.absent}` : [one.version, one.language, one.setup].filter(Boolean).join(" · ")]);
  fill(document.getElementById("versions"), h("dl.facts", {}, facts.map(([term, text]) => [h("dt", {}, term), h("dd", {}, text)])));
}
