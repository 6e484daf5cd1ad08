// The users that Braze would hold, found by id, alias or email.

import { count, dateAndTime, facts, h, inline, plural } from "./dom.js";

export class Users {
  constructor(store, place) {
    this.place = place;
    this.visible = false;
    this.chosen = null;
    this.search = h("input", { type: "search", placeholder: "Id, alias, email or device", autocomplete: "off", spellcheck: "false" });
    this.search.addEventListener("input", () => this.#soon(150));
    this.list = h("ul", { class: "people" });
    this.total = h("p", { class: "hint" });
    this.profile = h("div", { class: "panel", "aria-live": "off" });
    place.append(h("div", { class: "split" },
      h("div", { class: "panel" }, h("h2", {}, "Users"),
        h("label", {}, h("span", { class: "sr-only" }, "Search users"), this.search), this.total, this.list),
      this.profile));
    for (const name of ["change", "reset"]) store.addEventListener(name, () => this.#soon(400));
  }

  show() {
    this.visible = true;
    this.#load();
  }

  hide() {
    this.visible = false;
  }

  #soon(delay) {
    if (!this.visible || this.timer) return;
    this.timer = setTimeout(() => this.#load(), delay);
  }

  async #load() {
    this.timer = clearTimeout(this.timer);
    const query = new URLSearchParams({ search: this.search.value });
    const { profiles, total } = await (await fetch(`/inspector/profiles?${query}`)).json();
    this.total.textContent = profiles.length < total ? `${count(profiles.length)} of ${plural(total, "user")}` : plural(total, "user");
    if (!this.chosen && profiles.length) this.chosen = keyOf(profiles[0]);
    const focused = document.activeElement?.dataset?.key;
    this.list.replaceChildren(...profiles.map((profile) => this.#item(profile)));
    if (focused) this.list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    await this.#showProfile();
  }

  #item(profile) {
    const key = keyOf(profile);
    const button = h("button", { type: "button", "data-key": key, "aria-current": this.chosen === key ? "true" : null },
      profile.user ?? "anonymous", profile.name ? ` (${profile.name})` : "",
      h("small", {}, `${plural(profile.events, "event")} · ${plural(profile.purchases, "purchase")} · ${plural(profile.attributes, "attribute")}`));
    button.addEventListener("click", () => {
      this.chosen = key;
      for (const other of this.list.querySelectorAll("button")) other.removeAttribute("aria-current");
      button.setAttribute("aria-current", "true");
      this.#showProfile();
    });
    return h("li", {}, button);
  }

  async #showProfile() {
    if (!this.chosen) {
      this.profile.replaceChildren(h("h2", {}, "No users yet"), h("p", { class: "hint" }, "A user appears with their first record."));
      return;
    }
    const [kind, id] = JSON.parse(this.chosen);
    const answer = await fetch(`/inspector/profile?${new URLSearchParams({ [kind]: id })}`);
    if (!answer.ok) { // forgotten, or merged into an identified user
      this.chosen = null;
      this.profile.replaceChildren(h("h2", {}, "No longer there"), h("p", { class: "hint" }, "An anonymous user becomes part of the user who is identified on the device."));
      return;
    }
    this.profile.replaceChildren(...profileParts(await answer.json()));
  }
}

const keyOf = (profile) => JSON.stringify(profile.user === null ? ["device", profile.device] : ["user", profile.user]);

function profileParts(profile) {
  const revenue = Object.entries(profile.revenue).map(([currency, sum]) => `${sum.toFixed(2)} ${currency}`).join(", ");
  const sessions = profile.sessions;
  const length = sessions.reduce((sum, session) => sum + (session.duration ?? 0), 0);
  return [
    h("h2", {}, profile.external_id ?? "Anonymous user"),
    facts([
      ["Aliases", Object.entries(profile.aliases).map(([label, name]) => `${label}: ${name}`).join(", ")],
      ["Sessions", `${plural(sessions.length, "session")}, ${length.toFixed(1)} s ended`],
      ["Revenue", revenue],
      ["Location", profile.location ? inline(profile.location) : ""],
    ]),
    ...table("Standard fields", ["Field", "Value"], Object.entries(profile.attributes).map(([key, value]) => [key, inline(value)])),
    ...table("Custom attributes", ["Attribute", "Value", "Type"], Object.entries(profile.custom_attributes).map(([key, value]) => [key, inline(value), typeOf(value)])),
    ...activities("Custom events", "Event", profile.custom_events, "count"),
    ...activities("Purchases", "Product", profile.purchases, "quantity"),
    ...table("Subscription groups", ["Group", "State"], Object.entries(profile.subscription_groups)),
    ...table("Places", ["Attribute", "Place"], Object.entries(profile.custom_locations).map(([key, place]) => [key, inline(place)])),
    ...table("Devices", ["Device", "What it told"], Object.entries(profile.devices).map(([id, device]) => [id, inline(device) || "nothing"])),
    ...table("Sessions", ["Began", "Seconds", "Id"], sessions.slice(-20).reverse().map((session) => [dateAndTime(session.start), session.duration === null ? "open" : String(session.duration), session.id])),
  ];
}

function activities(title, what, byName, number) {
  const rows = Object.entries(byName).sort(([, one], [, two]) => two[number] - one[number]);
  return table(title, [what, "Times", "First", "Last"], rows.map(([name, activity]) => [name, count(activity[number]), dateAndTime(activity.first), dateAndTime(activity.last)]));
}

function table(title, columns, rows) {
  if (!rows.length) return [];
  return [
    h("h3", {}, title),
    h("div", { class: "table-wrap" }, h("table", { "aria-label": title },
      h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col" }, column)))),
      h("tbody", {}, rows.map(([first, ...rest]) => h("tr", {}, h("th", { scope: "row" }, first), rest.map((value) => h("td", { class: "wrap" }, value))))))),
  ];
}

function typeOf(value) {
  if (Array.isArray(value)) return "list";
  if (value === null) return "null";
  return { string: "text", number: "number", boolean: "boolean", object: "object" }[typeof value];
}
