// The details of one row: the call, the mapping, warnings, the wire, the request.

import { bytes, copyButton, dateAndTime, facts, h, jsonView, plural } from "./dom.js";
import { rowStateOf } from "./store.js";
import { madeBy, titleOf } from "./stream.js";

const REASONS = {
  filtered: "A filter of the kit's configuration hides it",
  closed: "The kit's gate is closed",
  unsupported: "The kit has no such callback",
  failed: "The kit raised",
};

export function detailOf(entry, store, onClose) {
  const call = entry.t === "call" ? entry : entry.call ? store.byId.get(entry.call) : null;
  const state = rowStateOf(entry, call);
  const close = h("button", { type: "button", class: "small", "aria-label": "Close the details" }, "Close");
  close.addEventListener("click", onClose);
  const parts = [
    h("header", {},
      h("div", {},
        h("span", { class: "badge", "data-kind": entry.kind }, entry.kind),
        h("span", { class: "state", "data-state": state }, state.replace("-", " ")),
        h("h2", {}, titleOf(entry))),
      close),
  ];
  if (entry.reason && entry.t === "record") parts.push(h("p", { class: "note bad" }, `Refused: ${entry.reason}`));
  for (const problem of entry.problems ?? []) parts.push(h("p", { class: "note bad" }, problem));
  if (entry.t === "warning") parts.push(h("p", { class: "note" }, entry.message));
  for (const warning of call?.warnings ?? []) parts.push(h("p", { class: "note" }, warning.message));
  if (entry.t === "call") parts.push(...notSent(entry));
  if (entry.t === "record" || entry.t === "call") parts.push(...callOf(entry, call));
  if (entry.t === "record" && entry.state === "accepted") parts.push(...mappingOf(entry, call));
  if (entry.t === "record") parts.push(...wireOf(entry));
  const request = entry.t === "request" ? entry : store.requests.find((one) => one.number === entry.request);
  if (request) parts.push(...requestOf(request));
  if (entry.t === "request" && entry.wire) parts.push(...bodyOf("Body", entry.wire));
  return parts;
}

function notSent(call) {
  if (call.outcome !== "forwarded") {
    return [h("p", { class: "note" }, `${REASONS[call.outcome] ?? call.outcome}${call.reason ? `: ${call.reason}` : ""}. Nothing was sent.`)];
  }
  if (call.made === 0 && !call.warnings.length) {
    return [h("p", { class: "note" }, "The kit took it and had nothing to send: nothing changed, or this profile sends nothing for it.")];
  }
  if (call.replaced && !call.arrived) {
    return [h("p", { class: "note" }, "A later call set the same attribute before this value was sent.")];
  }
  if (call.arrived + call.replaced < call.made) {
    return [h("p", { class: "note" }, `Queued in the client: ${call.arrived} of ${plural(call.made, "record")} arrived.`)];
  }
  return [];
}

function callOf(entry, call) {
  const parts = [h("div", { class: "title-row" }, h("h3", {}, "Call"), call ? copyButton(call.text) : null)];
  if (call) {
    parts.push(h("pre", { class: "call" }, h("code", {}, call.text)));
    parts.push(facts([
      ["Where", call.place], ["When", dateAndTime(call.time)],
      ["Filters took off", call.hidden.join(", ")], ["Projected to", call.projected.join(", ")],
    ]));
    return parts;
  }
  const [made] = madeBy(entry, null);
  if (made !== "unknown") parts.push(h("p", {}, made ? `None: ${made}.` : "Unknown."));
  else if (entry.likely) parts.push(h("p", {}, "Unknown; such records come from ", h("code", {}, entry.likely), "."));
  else parts.push(h("p", {}, "Unknown: the wire does not tell."));
  if (!entry.told && entry.source === "sdk") {
    parts.push(h("p", { class: "hint" }, "A Python client tells after ", h("code", {}, "client.inspect(url)"), "."));
  }
  return parts;
}

function mappingOf(entry, call) {
  const { rule } = entry;
  const direct = call && !call.call;
  return [
    h("h3", {}, "Mapping"),
    facts([
      [rule.name || direct ? "Rule" : "Kind", direct ? "None: a call to the Braze client itself" : rule.text || "unknown"],
      ["Profile", entry.profile ? `${entry.profile}${rule.particular ? `: ${rule.particular}` : ""}` : "unknown: the wire does not tell"],
      ["Source", rule.source],
      ["Told by", rule.name ? "the client" : "the wire"],
    ]),
  ];
}

function bodyOf(title, wire) {
  return [
    h("div", { class: "title-row" }, h("h3", {}, title), copyButton(() => JSON.stringify(wire, null, 2))),
    jsonView(wire),
  ];
}

function wireOf(entry) {
  return [
    ...bodyOf("On the wire", entry.wire),
    h("h3", {}, "Record"),
    facts([
      ["User", entry.user ?? "anonymous"], ["Device", entry.device],
      ["Time", entry.time === null ? "attributes carry none" : dateAndTime(entry.time)], ["Arrived", dateAndTime(entry.at)],
      ["Data points", entry.cost ? `${entry.points} (${entry.cost.replace("_", " ")})` : "none"],
    ]),
  ];
}

export function requestOf(request) {
  return [
    h("h3", {}, `Request ${request.number}`),
    facts([
      ["Answer", `${request.status || "none"} (${request.state})`], ["Path", request.path], ["At", dateAndTime(request.at)],
      ["Holds", `${plural(request.records, "record")}, ${bytes(request.bytes)}`],
      ["Attempt", request.attempt === null ? "" : String(request.attempt)],
      ["Tokens left", request.tokens === null ? "" : String(request.tokens)],
      ["SDK", request.sdk],
    ]),
  ];
}
