// What has arrived, kept in order and counted; fed by the sandbox's stream of server-sent events.

const KEEP = 50000;

export class Store extends EventTarget {
  constructor() {
    super();
    this.reset();
  }

  reset() {
    this.entries = []; // what the stream view may show, in order
    this.byId = new Map();
    this.requests = [];
    this.clients = new Map();
    this.missed = 0;
    this.totals = { records: 0, warnings: 0, refused: 0, requests: 0, accepted: 0, failed: 0, bytes: 0, calls: 0, requestRows: 0 };
    this.points = new Map(); // kind -> points
    this.spenders = new Map(); // "kind name" -> {kind, name, count, points}
    this.kinds = new Map(); // kind -> rows
  }

  /** Take a batch of entries; listeners are told once, with what is new and whether earlier ones changed. */
  take(batch) {
    const added = [];
    let changed = false;
    for (const entry of batch) {
      switch (entry.t) {
        case "update":
          for (const [id, changes] of entry.changes) changed = this.#update(id, changes) || changed;
          break;
        case "client":
          this.clients.set(entry.client, entry);
          break;
        default:
          this.byId.set(entry.id, entry);
          if (entry.t === "request") this.#request(entry);
          else if (entry.t === "record") this.#record(entry);
          else {
            this.totals.warnings += entry.t === "warning" ? 1 : entry.warnings.length;
            this.totals.calls += 1;
          }
          entry.kind ??= entry.t;
          this.entries.push(entry);
          added.push(entry);
      }
    }
    changed = this.#trim() || changed;
    this.dispatchEvent(new CustomEvent("change", { detail: { added, changed } }));
  }

  #update(id, changes) {
    const known = this.byId.get(id);
    if (!known) return false;
    this.totals.warnings += (changes.warnings?.length ?? 0) - (changes.warnings ? known.warnings.length : 0);
    Object.assign(known, changes, { hay: null });
    return true;
  }

  #request(entry) {
    this.requests.push(entry);
    if (this.requests.length > 2000) this.requests.splice(0, 500);
    this.totals.requests += 1;
    this.totals.bytes += entry.bytes;
    if (entry.state === "accepted") this.totals.accepted += 1;
    else if (entry.state === "refused") this.totals.refused += 1;
    else this.totals.failed += 1;
    if (hasRow(entry)) this.totals.requestRows += 1;
  }

  #record(entry) {
    this.totals.records += 1;
    if (entry.state !== "accepted") return;
    this.kinds.set(entry.kind, (this.kinds.get(entry.kind) ?? 0) + 1);
    if (!entry.cost) return;
    this.points.set(entry.cost, (this.points.get(entry.cost) ?? 0) + entry.points);
    const key = `${entry.cost} ${entry.name}`;
    const spender = this.spenders.get(key) ?? { kind: entry.cost, name: entry.name, count: 0, points: 0 };
    spender.count += 1;
    spender.points += entry.points;
    this.spenders.set(key, spender);
  }

  #trim() {
    if (this.entries.length <= KEEP) return false;
    for (const entry of this.entries.splice(0, this.entries.length - KEEP + 5000)) this.byId.delete(entry.id);
    return true;
  }

  /** Follow the sandbox. The browser reconnects by itself and says what it saw last, unless it was turned away. */
  follow(url, onState) {
    const source = new EventSource(url);
    source.addEventListener("open", () => onState("live"));
    source.addEventListener("error", () => {
      onState("reconnecting");
      if (source.readyState === EventSource.CLOSED) setTimeout(() => this.follow(url, onState), 2000);
    });
    source.addEventListener("begin", () => {
      this.reset();
      this.dispatchEvent(new Event("reset"));
    });
    source.addEventListener("missed", (event) => {
      this.missed += JSON.parse(event.data).count;
    });
    source.addEventListener("entries", (event) => this.take(JSON.parse(event.data)));
  }

  /** Records that clients hold back, as far as they told. */
  get queued() {
    let sum = 0;
    for (const client of this.clients.values()) sum += client.stats?.queued ?? 0;
    return sum;
  }
}

/** How a row stands: one word that is a filter, a class and a text. */
export function stateOf(entry) {
  if (entry.t === "call") {
    if (entry.outcome !== "forwarded") return "not-sent";
    if (entry.made === 0) return entry.warnings.length ? "warning" : "not-sent";
    if (entry.arrived + entry.replaced < entry.made) return "queued";
    return entry.arrived ? "arrived" : "not-sent";
  }
  if (entry.t === "warning") return "warning";
  return entry.state;
}

/** As above, for a row: a record has the warnings of its call. */
export function rowStateOf(entry, call) {
  return entry.t === "record" && entry.state === "accepted" && call?.warnings.length ? "warning" : stateOf(entry);
}

/** Whether an entry has a row: a call or a request only while there is something to say that its records do not. */
export function hasRow(entry) {
  if (entry.t === "record" || entry.t === "warning") return true;
  if (entry.t === "request") return entry.state !== "accepted" || entry.source === "mparticle";
  return stateOf(entry) !== "arrived";
}

/** What one can search an entry for, in lower case. */
export function hayOf(entry, store) {
  if (!entry.hay) {
    const call = entry.call ? store.byId.get(entry.call) : null;
    const parts = [entry.name, entry.user, entry.reason, entry.text, entry.path, entry.code, entry.message, call?.text, call?.place];
    if (entry.wire) parts.push(JSON.stringify(entry.wire).replaceAll("\"", "")); // so that plays:3 is found
    for (const warning of entry.warnings ?? []) parts.push(warning.message);
    entry.hay = parts.filter(Boolean).join("\n").toLowerCase();
  }
  return entry.hay;
}
