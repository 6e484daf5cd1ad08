// One call in, what each of the four profiles sends side by side, differences marked.

import { announce, h } from "./dom.js";

const PROFILES = ["native", "web", "android", "ios"];
const SAMPLES = {
  Event: { call: "log_event", name: "Played Song", type: "navigation", attributes: { genre: "Jazz", plays: 3, live: true } },
  Attribute: { call: "set_user_attribute", key: "$Gender", value: "Female" },
  Increment: { call: "increment_user_attribute", key: "visits", by: 2 },
  Purchase: {
    call: "log_commerce_event",
    event: {
      product_action: "purchase",
      products: [{ name: "Tea", sku: "SKU-1", price: 4.5, quantity: 2 }],
      transaction: { id: "t-1", revenue: 9 },
    },
  },
};

export class Compare {
  constructor(place, about) {
    this.input = h("textarea", { id: "compare-input", spellcheck: "false", "aria-describedby": "compare-hint" });
    this.input.value = JSON.stringify(SAMPLES.Event, null, 2);
    this.result = h("div", { id: "compare-result", tabindex: "-1" });
    const run = h("button", { type: "button", class: "primary", id: "compare-run" }, "Compare");
    run.addEventListener("click", () => this.#run());
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#run();
    });
    const samples = Object.entries(SAMPLES).map(([name, call]) => {
      const button = h("button", { type: "button" }, name);
      button.addEventListener("click", () => {
        this.input.value = JSON.stringify(call, null, 2);
        this.#run();
      });
      return button;
    });
    place.append(
      h("div", { class: "panel compare-form" }, h("h2", {}, "Compare profiles"),
        h("label", { for: "compare-input" }, "A call, or a list of calls, as JSON"), this.input,
        h("div", { class: "buttons" }, run, h("span", { class: "hint" }, "Examples:"), samples),
        h("p", { class: "hint", id: "compare-hint" }, "Shows what the call becomes in each profile. Nothing is sent. Ctrl+Enter compares.")),
      this.result);
    if (!about.explain) this.#message("This installation cannot compare profiles.");
  }

  #message(text, bad = false) {
    this.result.replaceChildren(h("p", { class: bad ? "note bad" : "note", role: bad ? "alert" : null }, text));
  }

  async #run() {
    let call;
    try {
      call = JSON.parse(this.input.value);
    } catch (error) {
      this.#message(`This is no JSON: ${error.message}`, true);
      return;
    }
    const answer = await fetch("/inspector/explain", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(call) });
    const found = await answer.json();
    if (!answer.ok) {
      this.#message(found.message, true);
      return;
    }
    const warnings = (found.warnings ?? []).map((warning) => h("p", { class: "note" }, `${warning.profile}: ${warning.message}`));
    this.result.replaceChildren(...warnings, ...found.calls.map((one) => callPanel(one)));
    const differing = found.calls.reduce((sum, one) => sum + one.differences.length, 0);
    announce(differing ? `${differing} differences` : "The profiles agree");
  }
}

function callPanel(one) {
  const panel = h("div", { class: "panel" }, h("h2", {}, one.call.call));
  const differing = one.differences.length;
  panel.append(h("p", { class: "hint" }, differing ? `The profiles differ in ${differing} ${differing === 1 ? "place" : "places"}, marked below.` : "All profiles that send it send the same."));
  const rows = one.rows.length ? one.rows : [{}];
  rows.forEach((row, number) => {
    const differs = new Set(one.differences.filter((difference) => difference.row === number).map((difference) => difference.path));
    if (rows.length > 1) panel.append(h("p", { class: "row-title" }, `Record ${number + 1}`));
    const records = new Map(PROFILES.filter((profile) => Number.isInteger(row[profile]))
      .map((profile) => [profile, new Map(leaves(one.profiles[profile][row[profile]].record))]));
    const paths = new Set([...records.values()].flatMap((record) => [...record.keys()]));
    panel.append(h("div", { class: "profiles" }, PROFILES.map((profile) => {
      const place = h("section", { class: "profile", "aria-label": profile }, h("h4", {}, profile));
      if (records.has(profile)) place.append(...recordParts(records.get(profile), paths, differs), ...ruleParts(profile, one.profiles[profile][row[profile]]));
      else place.append(h("p", {}, one.silent[profile] ? `Nothing: ${one.silent[profile]}` : "Nothing here."));
      return place;
    })));
  });
  for (const warning of one.warnings) panel.append(h("p", { class: "note" }, `${warning.profile}: ${warning.message}`));
  return panel;
}

/** A line for each path that any of the profiles has, so that the columns can be read across. */
function recordParts(record, paths, differs) {
  return [...paths].map((path) => {
    const marked = differs.has(path);
    return h("span", { class: marked ? "leaf differs" : "leaf" }, h("span", { class: "path" }, `${path}: `),
      record.has(path) ? JSON.stringify(record.get(path)) : h("i", {}, "not sent"), marked ? h("span", { class: "sr-only" }, " (differs)") : null);
  });
}

function ruleParts(profile, { text, particular }) {
  return [h("h3", {}, "Rule"), h("p", {}, text), particular ? h("p", {}, `${profile}: ${particular}.`) : ""];
}

/** The leaves of an object, each with its path, keys joined by points. */
function* leaves(value, path = "") {
  if (value !== null && typeof value === "object" && !Array.isArray(value) && (Object.keys(value).length || !path)) {
    for (const [key, member] of Object.entries(value)) yield* leaves(member, path ? `${path}.${key}` : key);
  } else yield [path, value];
}
