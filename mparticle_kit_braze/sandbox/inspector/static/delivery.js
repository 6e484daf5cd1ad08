// Queue and delivery: what clients tell of their queues, and every request with its answer.

import { bytes, count, dateAndTime, h, plural, timeOfDay } from "./dom.js";
import { card, LiveView } from "./live.js";

const SHOWN = 100;

export class Delivery extends LiveView {
  draw() {
    const { totals, requests, clients } = this.store;
    const retries = requests.filter((request) => (request.attempt ?? 1) > 1).length;
    const cards = [
      card(h, count(totals.requests), "requests"), card(h, count(totals.accepted), "accepted"),
      card(h, count(totals.refused), "refused", totals.refused ? "bad" : ""),
      card(h, count(totals.failed), "failed or unanswered", totals.failed ? "warn" : ""),
      card(h, count(retries), "later attempts"), card(h, bytes(totals.bytes), "received"),
    ];
    this.place.replaceChildren(
      h("h2", { class: "sr-only" }, "Delivery"),
      h("div", { class: "cards" }, cards),
      clientsPanel(clients), batchPanel(requests), requestsPanel(requests));
  }
}

function clientsPanel(clients) {
  const panel = h("div", { class: "panel" }, h("h2", {}, "Clients and their queues"));
  if (!clients.size) {
    panel.append(h("p", { class: "hint" }, "No client told of itself. A Python client does after ", h("code", {}, "client.inspect(url)"), "."));
    return panel;
  }
  const columns = ["Process", "Profile", "Queued", "Sent", "Retried", "Dropped", "Dead", "Points saved", "Next request", "State"];
  const numeric = new Set(columns.slice(2, 8));
  panel.append(h("div", { class: "table-wrap" }, h("table", { "aria-label": "Clients" },
    h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col", class: numeric.has(column) ? "number" : null }, column)))),
    h("tbody", {}, [...clients.values()].reverse().map((client) => {
      const stats = client.stats ?? {};
      const number = (value) => h("td", { class: "number" }, value === null || value === undefined ? "" : count(value));
      return h("tr", {}, h("th", { scope: "row" }, client.process ? `${client.process}` : client.client), h("td", {}, client.profile || "unknown"),
        number(stats.queued), number(stats.sent), number(stats.retried), number(stats.dropped), number(stats.dead), number(stats.points_saved),
        h("td", {}, timeOfDay(stats.next_attempt)),
        h("td", { class: "wrap" }, [stats.last_error || stats.gate, client.lost ? `${plural(client.lost, "call")} not told` : ""].filter(Boolean).join("; ")));
    })))));
  return panel;
}

function batchPanel(requests) {
  const last = requests.filter((request) => request.records).slice(-60);
  if (!last.length) return h("div", { hidden: true });
  const most = Math.max(...last.map((request) => request.records));
  const chart = h("div", { class: "columns", role: "img",
    "aria-label": `Records in each of the last ${last.length} requests, ${last.at(-1).records} in the latest, ${most} at most` });
  for (const request of last) {
    const column = h("span", { "data-state": request.state, title: `Request ${request.number}: ${plural(request.records, "record")}, ${request.status || "no answer"}` });
    column.style.height = `${Math.max(3, (100 * request.records) / most)}%`;
    chart.append(column);
  }
  return h("div", { class: "panel" }, h("h2", {}, "Batch sizes"), chart,
    h("p", { class: "hint" }, `The last ${plural(last.length, "request")} that carried records, oldest first; ${plural(most, "record")} at most.`));
}

function requestsPanel(requests) {
  const columns = ["No.", "Time", "Path", "Answer", "Records", "Size", "Attempt", "Tokens", "Since last", "Problem"];
  const numeric = new Set(["No.", "Records", "Size", "Attempt", "Tokens", "Since last"]);
  const number = (value) => h("td", { class: "number" }, value);
  const rows = requests.slice(-SHOWN).reverse().map((request) => h("tr", {},
    number(String(request.number)), h("td", { title: dateAndTime(request.at) }, timeOfDay(request.at)), h("td", {}, request.path),
    h("td", {}, h("span", { class: "state", "data-state": request.state }, request.status ? String(request.status) : "no answer")),
    number(count(request.records)), number(bytes(request.bytes)), number(request.attempt === null ? "" : String(request.attempt)),
    number(request.tokens === null ? "" : String(request.tokens)), number(sinceLast(request.since_last_ms)), h("td", { class: "wrap" }, request.problems[0] ?? "")));
  const panel = h("div", { class: "panel" }, h("h2", {}, "Requests"));
  if (!rows.length) panel.append(h("p", { class: "hint" }, "None yet."));
  else {
    panel.append(h("div", { class: "table-wrap" }, h("table", {},
      h("caption", {}, requests.length > SHOWN ? `The last ${SHOWN}, latest first` : "Latest first"),
      h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col", class: numeric.has(column) ? "number" : null }, column)))),
      h("tbody", {}, rows))));
  }
  return panel;
}

function sinceLast(milliseconds) {
  if (milliseconds === null) return "";
  if (milliseconds >= 7200000) return "first";
  return milliseconds < 1000 ? `${milliseconds} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
