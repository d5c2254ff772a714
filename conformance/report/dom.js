// Making elements. Texts are always set as text: error messages come from anywhere.

/** An element: `h("td.wide", {title: "…"}, "text", child, …)`; functions among the attributes are listeners. */
function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes))
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  return fill(element, ...children);
}

/** Make these an element's children: elements and texts, in lists of any depth; null and false are nothing. */
function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

/** An outcome's sign and how often it came, told apart by character, shape and colour. */
function chip(outcome, count) {
  return h(`span.chip.${outcome.key}`, {}, h("b", {}, outcome.sign), count == null ? "" : ` ${count}`);
}

/** "3 wrong data, 5 pass": for ears, and for pointers that rest. */
function spoken(list) {
  return tally(list).map(([outcome, count]) => `${count} ${outcome.label}`).join(", ") || "nothing tried";
}

function bytesText(count) {
  return count < 1000 ? `${count} B` : `${(count / 1000).toPrecision(3)} kB`;
}

function ratioText(value) {
  return Number.isFinite(value) ? `×${value < 10 ? value.toFixed(value === 1 ? 0 : 1) : Math.round(value)}` : "×∞";
}
