// A grid of any length that keeps only the rows in sight in the document. One row is active; arrows move it.

const OVERSCAN = 8;

export class VirtualGrid {
  /**
   * @param viewport The scrolling element, with role grid; it has the focus.
   * @param body The element inside that holds the rows.
   * @param makeRow Makes an empty row.
   * @param fillRow Fills a row for an item.
   * @param onActive Told of the active item, and whether it was chosen (Enter, click).
   */
  constructor(viewport, body, { makeRow, fillRow, onActive, headerRows = 1 }) {
    Object.assign(this, { viewport, body, makeRow, fillRow, onActive, headerRows });
    this.items = [];
    this.active = -1;
    this.pool = [];
    this.follow = true; // stick to the end
    this.height = 34;
    this.frame = 0;
    viewport.addEventListener("scroll", () => {
      this.follow = this.atEnd;
      this.schedule();
    }, { passive: true });
    viewport.addEventListener("keydown", (event) => this.#key(event));
    body.addEventListener("click", (event) => {
      const row = event.target.closest("[role=row]");
      if (row) this.activate(Number(row.dataset.index), true);
    });
    new ResizeObserver(() => this.measure()).observe(viewport);
  }

  get atEnd() {
    const { viewport, height } = this;
    return viewport.scrollTop >= viewport.scrollHeight - viewport.clientHeight - height / 2;
  }

  measure() {
    this.height = parseFloat(getComputedStyle(this.viewport).getPropertyValue("--row-height")) || 34;
    for (const row of this.pool) row.dataset.index = "-1";
    this.render();
  }

  /** Show other items. `keep` is the item that stays active. */
  set(items, keep) {
    this.items = items;
    this.active = keep ? items.lastIndexOf(keep) : -1;
    this.render(true);
  }

  /** Items were appended to the array it shows. */
  grown() {
    this.schedule();
  }

  schedule() {
    this.frame ||= requestAnimationFrame(() => this.render());
  }

  render(refill = false) {
    this.frame = 0;
    const { viewport, body, items, height } = this;
    const header = body.offsetTop;
    const total = items.length * height;
    if (this.total !== total) {
      this.total = total;
      body.style.height = `${total}px`;
      viewport.setAttribute("aria-rowcount", String(items.length + this.headerRows));
    }
    if (this.follow) viewport.scrollTop = viewport.scrollHeight;
    const top = viewport.scrollTop;
    const first = Math.max(0, Math.floor((top - header) / height) - OVERSCAN);
    const last = Math.min(items.length, Math.ceil((top + viewport.clientHeight) / height) + OVERSCAN);
    const needed = Math.max(0, last - first);
    while (this.pool.length < needed) {
      const row = this.makeRow();
      row.dataset.index = "-1";
      this.pool.push(row);
      body.append(row);
    }
    // A row keeps its place in the pool by its index, so that scrolling by one changes one.
    const size = this.pool.length;
    const used = new Set();
    for (let index = first; index < last; index += 1) {
      const row = this.pool[index % size];
      used.add(row);
      if (row.hidden) row.hidden = false;
      if (refill || Number(row.dataset.index) !== index) {
        row.dataset.index = String(index);
        row.id = `row-${index}`;
        row.setAttribute("aria-rowindex", String(index + 1 + this.headerRows));
        row.style.transform = `translateY(${index * height}px)`;
        this.fillRow(row, items[index]);
      }
      const selected = String(index === this.active);
      if (row.getAttribute("aria-selected") !== selected) row.setAttribute("aria-selected", selected);
    }
    for (const row of this.pool) {
      if (!used.has(row) && !row.hidden) {
        row.hidden = true;
        row.dataset.index = "-1";
        row.removeAttribute("id");
      }
    }
    if (this.active >= first && this.active < last) viewport.setAttribute("aria-activedescendant", `row-${this.active}`);
    else viewport.removeAttribute("aria-activedescendant");
  }

  activate(index, chosen = false) {
    if (!this.items.length) return;
    this.active = Math.max(0, Math.min(index, this.items.length - 1));
    const top = this.active * this.height;
    const { viewport, body } = this;
    const header = body.offsetTop;
    const room = viewport.clientHeight - header;
    if (top < viewport.scrollTop) viewport.scrollTop = top;
    else if (top + this.height > viewport.scrollTop + room) viewport.scrollTop = top + this.height - room;
    this.follow = false;
    this.render();
    this.onActive(this.items[this.active], chosen);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.viewport.clientHeight / this.height) - 2);
    const from = this.active < 0 ? this.items.length : this.active;
    const moves = {
      ArrowDown: from + 1, ArrowUp: from - 1, PageDown: from + page, PageUp: from - page,
      Home: 0, End: this.items.length - 1,
    };
    if (event.key in moves) this.activate(moves[event.key]);
    else if (event.key === "Enter" && this.active >= 0) this.activate(this.active, true);
    else return;
    event.preventDefault();
    if (event.key === "End") this.follow = true;
  }
}
