// Data points spent, by kind and by what spends most.

import { count, h } from "./dom.js";
import { card, LiveView } from "./live.js";

const KINDS = { custom_events: "Custom events", purchases: "Purchases", attributes: "Attributes", sessions: "Sessions" };
const TOP = 25;

export class Points extends LiveView {
  draw() {
    const { points, spenders, clients } = this.store;
    const total = [...points.values()].reduce((sum, value) => sum + value, 0);
    const saved = [...clients.values()].reduce((sum, client) => sum + (client.stats?.points_saved ?? 0), 0);
    const told = [...clients.values()].some((client) => client.stats);
    this.place.replaceChildren(
      h("h2", { class: "sr-only" }, "Data points"),
      h("div", { class: "cards" },
        card(h, count(total), "data points spent"),
        card(h, told ? count(saved) : "unknown", told ? "saved by the clients" : "saved: no client tells")),
      h("div", { class: "panel" }, h("h2", {}, "By kind"), byKind(points, total)),
      h("div", { class: "panel" }, h("h2", {}, "What spends most"), bySpender(spenders)),
      h("p", { class: "hint panel" }, "Counted from what was accepted, under Braze's data point rules: one each for a session start or end, a custom event, a purchase and an attribute; one for each key of an object. Recommended eCommerce events, aliases, subscriptions and push tokens cost nothing."));
  }
}

function byKind(points, total) {
  const most = Math.max(1, ...points.values());
  const rows = Object.entries(KINDS).map(([kind, label]) => {
    const value = points.get(kind) ?? 0;
    return h("tr", { "data-kind": kind }, h("th", { scope: "row" }, label), h("td", { class: "bars" }, bar(value, most)),
      h("td", { class: "number" }, count(value)), h("td", { class: "number" }, total ? `${Math.round((100 * value) / total)} %` : ""));
  });
  return table("Data points by kind", ["Kind", "", "Points", "Share"], rows);
}

function bySpender(spenders) {
  const top = [...spenders.values()].sort((one, two) => two.points - one.points).slice(0, TOP);
  if (!top.length) return h("p", { class: "hint" }, "Nothing was spent yet.");
  const rows = top.map((spender) => h("tr", { "data-kind": spender.kind },
    h("th", { scope: "row" }, spender.name), h("td", { class: "kind" }, h("span", { class: "badge" }, KINDS[spender.kind])), h("td", { class: "bars" }, bar(spender.points, top[0].points)),
    h("td", { class: "number" }, count(spender.count)), h("td", { class: "number" }, count(spender.points))));
  return table("What spends most", ["Name", "Kind", "", "Times", "Points"], rows);
}

function table(label, columns, rows) {
  return h("div", { class: "table-wrap" }, h("table", { "aria-label": label },
    h("thead", {}, h("tr", {}, columns.map((column) => h(column ? "th" : "td", { scope: column ? "col" : null, class: ["Points", "Share", "Times"].includes(column) ? "number" : column === "Kind" && columns.length > 4 ? "kind" : null }, column)))),
    h("tbody", {}, rows)));
}

function bar(value, most) {
  const element = h("div", { class: "bar", "aria-hidden": "true", hidden: value === 0 });
  element.style.width = `${(100 * value) / most}%`;
  return element;
}
