// The page: views, theme, shortcuts and the connection.

import { $, announce, copyButton, h, setText } from "./dom.js";
import { Compare } from "./compare.js";
import { Delivery } from "./delivery.js";
import { Points } from "./points.js";
import { Store } from "./store.js";
import { StreamView } from "./stream.js";
import { Users } from "./users.js";

const NAMES = ["stream", "users", "delivery", "points", "compare"];
const THEMES = ["auto", "light", "dark"];

const store = new Store();
const about = await (await fetch("/inspector/about")).json();

// -- where clients send to -----------------------------------------------------------------------------------------
setText($("endpoint"), about.url);
$("copy-endpoint").append(copyButton(about.url));

// -- the connection ------------------------------------------------------------------------------------------------
let connection = "connecting";
function showStatus() {
  const state = view.paused ? "paused" : connection;
  $("status").dataset.state = state;
  setText($("status-text"), { live: "Live", paused: "Paused", reconnecting: "Reconnecting", connecting: "Connecting" }[state]);
}

const view = new StreamView(store, about, showStatus);
const views = {
  stream: view,
  users: new Users(store, $("view-users")),
  delivery: new Delivery(store, $("view-delivery")),
  points: new Points(store, $("view-points")),
  compare: new Compare($("view-compare"), about),
};
store.follow("/inspector/stream", (state) => {
  connection = state;
  showStatus();
});

// -- views ---------------------------------------------------------------------------------------------------------
let shown = "";
function show() {
  const [name, ...rest] = location.hash.slice(1).split("/");
  const wanted = NAMES.includes(name) ? name : "stream";
  for (const each of NAMES) {
    $(`view-${each}`).hidden = each !== wanted;
    const tab = $(`tab-${each}`);
    if (each === wanted) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  const previous = shown;
  shown = wanted;
  if (previous && previous !== wanted) views[previous].hide?.();
  views[wanted].show?.(decodeURIComponent(rest.join("/")), previous !== wanted);
}
function goTo(name) {
  if (location.hash !== `#${name}`) location.hash = name;
  show(); // at once: the event comes later
}
addEventListener("hashchange", show);
show();

// -- theme ---------------------------------------------------------------------------------------------------------
function remembered() {
  try {
    return localStorage.getItem("inspector-theme");
  } catch {
    return null;
  }
}
function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  setText($("theme-name"), theme);
  $("theme").setAttribute("aria-label", `Theme: ${theme}`);
  try {
    localStorage.setItem("inspector-theme", theme);
  } catch {
    // Private windows may refuse; the theme lasts as long as the page then.
  }
}
function nextTheme() {
  const theme = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "auto") + 1) % THEMES.length];
  setTheme(theme);
  announce(`Theme ${theme}`);
}
setTheme(THEMES.includes(remembered()) ? remembered() : "auto");
$("theme").addEventListener("click", nextTheme);

// -- shortcuts -----------------------------------------------------------------------------------------------------
const help = () => $("shortcuts").showModal();
$("help").addEventListener("click", help);
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("shortcuts").open) return;
  const typing = event.target.closest?.("input, textarea, select");
  if (event.key === "Escape") {
    view.escape(event.target);
    return;
  }
  if (typing) return;
  const number = Number(event.key);
  if (number >= 1 && number <= NAMES.length) {
    goTo(NAMES[number - 1]);
    return;
  }
  const actions = {
    "/": () => { goTo("stream"); $("search").focus(); },
    p: () => view.togglePause(),
    e: () => view.export(),
    t: nextTheme,
    "?": help,
  };
  const action = actions[event.key.toLowerCase()];
  if (action) {
    event.preventDefault();
    action();
  }
});
