// What a cell holds, case by case: what was expected, what was got, who wrote the shard.

function fillPanel(panel, grid, rowId, name, close) {
  const one = implementations.get(name);
  const row = grid.groups.flatMap((group) => group.rows).find(({ id }) => id === rowId);
  const list = cellOf(grid, rowId, name);
  const good = list.filter((result) => result.outcome.key === "pass");
  const rest = list.filter((result) => result.outcome.key !== "pass");
  const cost = grid.part === "cost";
  fill(panel,
    h("button.close", { type: "button", click: close, "aria-label": "Close" }, "×"),
    h("h2", { id: "panel-title", tabindex: "-1" }, `${rowId} · ${name}`),
    h("p.about", {}, [one.version, one.language, one.setup].filter(Boolean).join(" · ")),
    row?.text && h("p", {}, row.text, " ", h("span.tag", {}, row.tag)),
    list.length
      ? h("p.tally", {}, tally(list).map(([outcome, count]) => h("span", {}, chip(outcome, count), ` ${outcome.label} `)))
      : h("p", {}, one.absent ? `Not installed where this was run: ${one.absent}` : "Nothing was tried."),
    (cost ? byCase(list) : byCase(rest)).map((group) => caseEntry(group)),
    !cost && good.length > 0 &&
      h("details.passes", { open: rest.length === 0 }, h("summary", {}, `${good.length} passed`),
        byCase(good).map((group) => caseEntry(group))),
  );
}

/** Results by case, the case with the gravest outcome first. */
function byCase(list) {
  const sorted = [...list].sort((a, b) => a.outcome.rank - b.outcome.rank);
  const groups = Map.groupBy(sorted, ({ name, writer, updater }) => JSON.stringify([name, writer, updater]));
  return [...groups.values()];
}

function caseEntry(group) {
  const [{ name, writer, updater }] = group;
  const known = data.cases[name];
  const maker = known?.made_by && `${known.made_by.name} ${known.made_by.version}`;
  const facts = [
    known?.expect && ["due", known.expect === "refuse" ? `a refusal (${known.reason})` : dueText[known.expect]],
    known?.why && ["why", known.why],
    (maker || writer) && ["written by", maker ?? writer],
    updater && ["updated by", updater],
    known && ["holds", known.requirements.join(", ")],
  ].filter(Boolean);
  return h("article.case", {},
    h("h3", {}, known?.title ?? name), known?.title && h("code.name", {}, name),
    h("dl.facts", {}, facts.map(([term, text]) => [h("dt", {}, term), h("dd", {}, text)])),
    h("ul.outcomes", {}, alike(group).map((same) => outcomeEntry(same, known))));
}

/** Results that say the same about different selections stand together. */
function alike(group) {
  const same = Map.groupBy(group, ({ outcome, expected, got, message }) =>
    JSON.stringify([outcome.key, expected, got, message]));
  return [...same.values()];
}

const dueText = {
  values: "the values",
  either: "the values, or a refusal: the specification is silent",
};

function outcomeEntry(same, known) {
  const [result] = same;
  const where = ({ selection, operation }) =>
    operation !== "read" ? operation : selection == null ? "whole array" : known?.selections[selection] ?? `selection ${selection}`;
  const facts = [
    result.expected && ["expected", result.expected],
    typeof result.got === "string" && ["got", result.got],
    result.message && ["message", result.message],
    ...costFacts(result.got),
  ].filter(Boolean);
  return h("li", {}, chip(result.outcome), h("span.label", {}, ` ${result.outcome.label} `),
    same.map((one) => h("code.where", {}, where(one))),
    facts.length > 0 && h("dl.facts", {}, facts.map(([term, text]) => [h("dt", {}, term), h("dd", {}, h("code", {}, text))])));
}

function costFacts(got) {
  if (got?.requests === undefined) return [];
  return [
    ["requests", `${got.requests} (ideal ${got.ideal_requests})`],
    ["bytes", `${got.bytes} (ideal ${got.ideal_bytes})`],
  ];
}
