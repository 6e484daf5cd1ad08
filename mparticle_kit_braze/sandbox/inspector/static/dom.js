// Elements and texts. Nothing here, or anywhere in the page, makes markup of data: only text.

/** Make an element: `h("p", {class: "hint", onclick: f, "aria-label": "x"}, "text", child)`. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const $ = (id) => document.getElementById(id);

/** Give an element new children, leaving it alone when it shows the same text already. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const pad = (number, width = 2) => String(number).padStart(width, "0");

/** Seconds since the epoch as local time of day, to the millisecond. */
export function timeOfDay(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const date = new Date(seconds * 1000);
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
}

export function dateAndTime(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "";
  const date = new Date(seconds * 1000);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${timeOfDay(seconds)}`;
}

const numbers = new Intl.NumberFormat("en");
export const count = (number) => numbers.format(number);
export const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

export function bytes(number) {
  if (number < 1000) return `${number} B`;
  return number < 1e6 ? `${(number / 1000).toFixed(1)} kB` : `${(number / 1e6).toFixed(1)} MB`;
}

/** A value in one line, for a cell. */
export function inline(value) {
  if (value === null || value === undefined) return "null";
  if (typeof value === "string") return value;
  if (typeof value !== "object") return String(value);
  if (Array.isArray(value)) return `[${value.map(inline).join(", ")}]`;
  return Object.entries(value).map(([key, item]) => `${key}: ${inline(item)}`).join(" · ");
}

/** A button that copies a text, and says so. */
export function copyButton(text, label = "Copy") {
  const button = h("button", { type: "button", class: "small" }, label);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(typeof text === "function" ? text() : text);
    button.textContent = "Copied";
    announce("Copied");
    setTimeout(() => { button.textContent = label; }, 1500);
  });
  return button;
}

/** Tell a screen reader, politely. */
export function announce(text) {
  const place = $("announcer");
  place.textContent = "";
  requestAnimationFrame(() => { place.textContent = text; });
}

/** JSON with its parts coloured, as text nodes in spans. */
export function jsonView(value) {
  const code = h("code");
  const text = JSON.stringify(value, null, 2) ?? "null";
  const token = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|\b(true|false|null)\b/g;
  let last = 0;
  for (const match of text.matchAll(token)) {
    if (match.index > last) code.append(text.slice(last, match.index));
    const kind = match[1] ? (match[2] ? "key" : "text") : match[3] ? "number" : "word";
    code.append(h("span", { class: `json-${kind}` }, match[1] ?? match[0]));
    if (match[2]) code.append(match[2]);
    last = match.index + match[0].length;
  }
  code.append(text.slice(last));
  return h("pre", { class: "json", tabindex: "0" }, code);
}

/** A list of terms and their values. */
export function facts(pairs) {
  const list = h("dl", { class: "facts" });
  for (const [term, value] of pairs) {
    if (value === null || value === undefined || value === "") continue;
    list.append(h("dt", {}, term), h("dd", {}, value));
  }
  return list;
}
