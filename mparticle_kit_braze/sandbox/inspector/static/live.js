// A view that is drawn anew from the store, at most a few times a second and only while it is in sight.

export class LiveView {
  constructor(store, place) {
    Object.assign(this, { store, place, visible: false });
    for (const name of ["change", "reset"]) store.addEventListener(name, () => this.#soon());
  }

  show() {
    this.visible = true;
    this.draw();
  }

  hide() {
    this.visible = false;
  }

  #soon() {
    if (!this.visible || this.timer) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      if (this.visible) this.draw();
    }, 250);
  }
}

/** A figure with what it counts. */
export function card(h, value, label, kind = "") {
  return h("div", { class: `card ${kind}` }, h("b", {}, value), h("span", {}, label));
}
