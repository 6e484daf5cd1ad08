// The stream view: filters, the grid, pausing, exporting.

import { $, announce, copyButton, count, h, inline, plural, setText, timeOfDay } from "./dom.js";
import { detailOf } from "./detail.js";
import { VirtualGrid } from "./list.js";
import { hasRow, hayOf, rowStateOf, stateOf } from "./store.js";

export const KINDS = {
  session: "Sessions", event: "Events", purchase: "Purchases", attribute: "Attributes",
  message: "Messages", other: "Other", call: "Calls", request: "Requests",
};
const LABELS = {
  session: "session", event: "event", purchase: "purchase", attribute: "attribute", message: "message",
  other: "other", call: "call", warning: "warning", request: "request",
};
const STATES = {
  accepted: "accepted", refused: "refused", failed: "failed", warning: "warning", "not-sent": "not sent", queued: "queued",
};

export class StreamView {
  constructor(store, about, onPause) {
    Object.assign(this, { store, about, onPause });
    this.paused = false;
    this.held = 0; // rows that came while paused
    this.hidden = new Set(); // kinds
    this.items = [];
    this.selected = null;
    this.grid = new VirtualGrid($("grid"), $("rows"), {
      makeRow, fillRow: (row, entry) => this.#fill(row, entry),
      onActive: (entry, chosen) => this.#select(entry, chosen),
    });
    this.#chips();
    $("search").addEventListener("input", () => this.#refilter());
    $("states").addEventListener("change", () => this.#refilter());
    $("pause").addEventListener("click", () => this.togglePause());
    $("export").addEventListener("click", () => this.export());
    $("clear").addEventListener("click", () => this.#clear());
    $("latest").addEventListener("click", () => { this.grid.follow = true; this.grid.render(); this.#summary(); });
    $("grid").addEventListener("scroll", () => this.#latest(), { passive: true });
    store.addEventListener("change", (event) => this.#changed(event.detail));
    store.addEventListener("reset", () => this.#reset());
    this.#refilter();
  }

  show() {
    this.grid.measure();
  }

  #reset() {
    this.last = this.paused ? 0 : Infinity;
    this.held = 0;
    this.#select(null);
    this.#refilter();
  }

  // -- what is shown ------------------------------------------------------------------------------------------------
  #matches(entry) {
    if (!hasRow(entry)) return false;
    if (this.hidden.has(entry.kind === "warning" ? "call" : entry.kind)) return false;
    if (this.state && !this.#inState(entry)) return false;
    return !this.text || this.text.every((word) => hayOf(entry, this.store).includes(word));
  }

  #inState(entry) {
    const state = stateOf(entry);
    if (this.state === "refused") return state === "refused" || state === "failed";
    return rowStateOf(entry, entry.call ? this.store.byId.get(entry.call) : null) === this.state;
  }

  #changed({ added, changed }) {
    if (this.paused) {
      this.held += added.filter((entry) => this.#matches(entry)).length;
    } else if (changed) {
      this.#refilterSoon();
    } else {
      for (const entry of added) if (this.#matches(entry)) this.items.push(entry);
      this.grid.grown();
    }
    this.#summarySoon();
  }

  #refilterSoon() {
    this.refiltering ??= setTimeout(() => this.#refilter(), 100);
  }

  #refilter() {
    this.refiltering = clearTimeout(this.refiltering);
    const words = $("search").value.trim().toLowerCase();
    this.text = words ? words.split(/\s+/) : null;
    this.state = $("states").value;
    if (!this.paused) this.last = Infinity;
    this.items = this.store.entries.filter((entry) => entry.id <= this.last && this.#matches(entry));
    this.grid.set(this.items, this.selected);
    if (this.selected) this.#redrawDetail();
    this.#summarySoon();
  }

  #summarySoon() {
    this.summarising ??= requestAnimationFrame(() => this.#summary());
  }

  #summary() {
    this.summarising = undefined;
    const { totals, queued, missed } = this.store;
    const parts = [h("strong", {}, plural(this.items.length, "row"))];
    const all = this.store.entries.length;
    if (this.text || this.state || this.hidden.size) parts.push(` of ${count(all)} entries match`);
    if (queued) parts.push(` · ${count(queued)} queued in the client`);
    if (totals.warnings) parts.push(` · ${plural(totals.warnings, "warning")}`);
    if (totals.refused) parts.push(` · ${plural(totals.refused, "request")} refused`);
    if (totals.failed) parts.push(` · ${plural(totals.failed, "request")} failed`);
    if (missed) parts.push(` · ${count(missed)} older entries no longer kept`);
    if (this.paused) parts.push(` · paused, ${count(this.held)} new`);
    $("summary").replaceChildren(...parts);
    this.#countKinds();
    const empty = all === 0;
    $("grid").hidden = empty;
    if (empty !== !$("empty").hidden) {
      $("empty").hidden = !empty;
      if (empty) $("empty").replaceChildren(...this.#welcome());
      else this.grid.measure();
    }
    this.#latest();
  }

  /** Kinds that are rare have a filter once there is something to filter. */
  #countKinds() {
    const { kinds, totals } = this.store;
    const rare = { message: kinds.get("message"), other: kinds.get("other"), call: totals.calls, request: totals.requestRows };
    for (const [kind, { chip, number }] of this.chips) {
      if (kind !== "call" && kind !== "request") setText(number, count(kinds.get(kind) ?? 0));
      chip.hidden = kind in rare && !rare[kind] && !this.hidden.has(kind);
    }
  }

  #latest() {
    $("latest").hidden = this.grid.atEnd || this.items.length === 0;
  }

  #welcome() {
    const key = this.about.api_key ?? "any-key";
    const code = [
      "from mparticle_kit_braze import BrazeKit, MParticle",
      "",
      `with MParticle([BrazeKit("${key}", "${this.about.url}")]) as client:`,
      `    client.inspect("${this.about.url}")  # shows your calls here, too`,
      '    client.log_event("Played Song", attributes={"genre": "Jazz"})',
    ].join("\n");
    return [
      h("h3", {}, "Nothing has arrived yet"),
      h("p", {}, "Point a client here, and what it sends appears at once. Clients send some seconds after a call, or on flush()."),
      h("pre", { tabindex: "0" }, h("code", {}, code)),
      h("p", {}, copyButton(code, "Copy the code")),
      h("p", { class: "hint" }, "Everything is kept in the sandbox's memory only, and is gone with it."),
    ];
  }

  // -- filters ------------------------------------------------------------------------------------------------------
  #chips() {
    this.chips = new Map();
    for (const [kind, label] of Object.entries(KINDS)) {
      const number = h("span", { class: "count" });
      const chip = h("button", { type: "button", "aria-pressed": "true", "data-kind": kind },
        h("span", { class: "swatch", "aria-hidden": "true" }), label, number);
      chip.addEventListener("click", () => {
        const on = this.hidden.delete(kind);
        if (!on) this.hidden.add(kind);
        chip.setAttribute("aria-pressed", String(on));
        this.#refilter();
      });
      this.chips.set(kind, { chip, number });
      $("kinds").append(chip);
    }
  }

  togglePause() {
    this.paused = !this.paused;
    this.last = this.paused ? this.store.entries.at(-1)?.id ?? 0 : Infinity;
    this.held = 0;
    $("pause").setAttribute("aria-pressed", String(this.paused));
    setText($("pause"), this.paused ? "Go on" : "Pause");
    announce(this.paused ? "Paused" : "Live again");
    if (!this.paused) this.#refilter();
    this.#summary();
    this.onPause();
  }

  /** Save what is shown as JSON lines, each record with the call that made it. */
  export() {
    const lines = this.items.map((entry) => {
      const { hay, ...rest } = entry;
      return JSON.stringify(entry.call ? { ...rest, call: withoutHay(this.store.byId.get(entry.call)) ?? entry.call } : rest);
    });
    const blob = new Blob([lines.join("\n"), lines.length ? "\n" : ""], { type: "application/jsonl" });
    const link = h("a", { href: URL.createObjectURL(blob), download: "records.jsonl" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    announce(`${plural(lines.length, "row")} exported`);
  }

  async #clear() {
    await fetch("/inspector/forget", { method: "POST", body: "{}" });
    announce("What arrived was forgotten");
  }

  escape(target) {
    if (!$("detail").hidden) {
      this.#select(null);
      this.grid.set(this.items, null);
      $("grid").focus();
    } else if (target === $("search")) {
      $("search").value = "";
      this.#refilter();
      $("grid").focus();
    }
  }

  // -- rows ---------------------------------------------------------------------------------------------------------
  #fill(row, entry) {
    const { time, kind, label, values, user, call, points, state } = row.cells;
    const call_ = entry.t === "call" ? entry : entry.call ? this.store.byId.get(entry.call) : null;
    setText(time, timeOfDay(entry.time ?? entry.at));
    kind.firstChild.dataset.kind = entry.kind;
    setText(kind.firstChild, LABELS[entry.kind]);
    setText(label, titleOf(entry));
    setText(values, valuesOf(entry));
    const anonymous = entry.t === "record" && !entry.user;
    user.classList.toggle("anonymous", anonymous);
    setText(user, anonymous ? "anonymous" : entry.user ?? "");
    const [made, known] = madeBy(entry, call_);
    call.classList.toggle("unknown", !known);
    setText(call, made);
    setText(points, entry.points ? String(entry.points) : "");
    const word = rowStateOf(entry, call_);
    state.firstChild.dataset.state = word;
    setText(state.firstChild, STATES[word] ?? word);
  }

  #select(entry, chosen = false) {
    this.selected = entry;
    const open = entry !== null;
    const pane = $("detail");
    pane.hidden = !open;
    if (!open) {
      pane.replaceChildren();
      return;
    }
    this.#redrawDetail(true);
    if (chosen) pane.focus({ preventScroll: true });
  }

  /** Draw the details if they are of another row, or something in them changed; a focus in them stays otherwise. */
  #redrawDetail(moved = false) {
    const { selected, store } = this;
    const call = selected.t === "call" ? selected : store.byId.get(selected.call);
    const drawn = [selected.id, selected.call, call?.made, call?.arrived, call?.replaced, call?.warnings.length].join();
    if (!moved && drawn === this.drawn) return;
    this.drawn = drawn;
    const pane = $("detail");
    const top = moved ? 0 : pane.scrollTop;
    pane.replaceChildren(...detailOf(selected, store, () => this.escape(null)));
    pane.scrollTop = top;
  }
}

function withoutHay(entry) {
  if (!entry) return null;
  const { hay, ...rest } = entry;
  return rest;
}

function makeRow() {
  const cells = {};
  const cell = (name, ...children) => (cells[name] = h("span", { role: "gridcell", class: `c-${name}` }, ...children));
  cells.label = h("span", { class: "label" });
  cells.values = h("span", { class: "values" });
  const row = h("div", { class: "row", role: "row" },
    cell("time"), cell("kind", h("span", { class: "badge" })), cell("name", cells.label, cells.values), cell("user"),
    cell("call"), cell("points"), cell("state", h("span", { class: "state" })));
  row.cells = cells;
  return row;
}

export function titleOf(entry) {
  if (entry.t === "call") return entry.call || entry.name;
  if (entry.t === "warning") return entry.code;
  if (entry.t === "request") return `${entry.status || "no answer"} ${entry.path}`;
  return entry.name;
}

/** The values of a record, short. */
export function valuesOf(entry) {
  if (entry.t === "call") return entry.warnings[0]?.message ?? (entry.reason ? `${entry.outcome}: ${entry.reason}` : entry.name);
  if (entry.t === "warning") return entry.message;
  if (entry.t === "request" && entry.problems.length) return entry.problems[0];
  if (entry.t === "request") return entry.source === "mparticle" ? inline(entry.wire ?? "").slice(0, 500) : plural(entry.records, "record");
  if (entry.state === "refused") return entry.reason;
  const { wire, code } = entry;
  if (code === "custom") return inline(wire.custom[entry.name]);
  if (code === "standard") return inline(wire[entry.name]);
  if (entry.source === "rest") return inline(wire.properties ?? {});
  const data = wire.data;
  if (code === "ce") return inline(data.p ?? {});
  if (code === "p") return [`${data.q} × ${data.p} ${data.c}`, inline(data.pr ?? {})].filter(Boolean).join(" · ");
  if (code === "inc") return data.value < 0 ? String(data.value) : `+${data.value}`;
  if (code === "se") return `after ${data.d} s`;
  const { key, n, pid, ...rest } = data;
  return inline("value" in rest ? rest.value : rest);
}

/** What made a row, in a few words, and whether that is known rather than guessed. */
export function madeBy(entry, call) {
  if (call) return [call.text, true];
  if (entry.t !== "record" || entry.state === "refused") return ["", false];
  if (entry.likely.startsWith("none: ")) return [entry.likely.slice(6), false];
  return ["unknown", false];
}
