// Many objects at once: all are right but those that are marked.

import { cell } from "./cells.js";
import { open } from "./decide.js";

const GAP = 10, CAPTION = 21, MOST = 60;

export class Grid {
  constructor(review, root) {
    Object.assign(this, { review, root, items: [], cells: [], marks: new Map(), focus: 0, since: 0 });
    root.setAttribute("role", "listbox");
    root.setAttribute("aria-multiselectable", "true");
    root.addEventListener("click", (event) => {
      const index = this.cells.indexOf(event.target.closest(".cell"));
      if (index < 0) return;
      this.moveTo(index);
      this.mark(this.marks.get(this.items[index].o) ? null : { wrong: true });
    });
    root.addEventListener("dblclick", () => review.open(this.at + this.focus));
  }

  // As many cells as fill the window best; on a phone a page is scrolled.
  size() {
    const wide = this.root.clientWidth || innerWidth, high = innerHeight - this.root.getBoundingClientRect().top - 70;
    const least = Math.max(2, Math.floor((wide + GAP) / (wide < 600 ? 150 : 200)));
    const pages = [0, 1, 2].map((more) => {
      const columns = least + (wide < 600 ? 0 : more), tall = (wide + GAP) / columns + CAPTION;
      const rows = Math.max(1, wide < 600 ? Math.ceil(high / tall) : Math.floor((high + GAP) / tall));
      return { columns, size: columns * rows, unused: Math.abs(high - rows * tall) };
    });
    const best = pages.reduce((a, b) => (b.unused < a.unused - 20 ? b : a));
    this.root.style.setProperty("--columns", best.columns);
    return Math.min(MOST, best.size);
  }

  async show(at) {
    const { feed } = this.review, size = this.size(), turn = (this.turn = Symbol("turn"));
    await feed.upTo(at + size);
    if (turn !== this.turn) return;
    // Decided meanwhile, in the other view or with their whole image: they need not be seen again.
    this.at = at;
    this.items = feed.items.slice(at, at + size);
    this.marks = new Map(this.items.flatMap((each) => {
      if (each.status === "rejected") return [[each.o, { wrong: true, reason: each.reason }]];
      return this.review.doubtful(each) ? [[each.o, { wrong: true, proposed: true }]] : [];
    }));
    this.cells = this.items.map((item) => cell(item, feed, this.review.colour(item)));
    feed.withMasks(this.items).catch((error) => this.review.say(error.message));
    this.root.replaceChildren(...this.cells);
    scrollTo(0, 0);
    this.cells.forEach((_, index) => this.draw(index));
    this.moveTo(0);
    this.since = performance.now();
    this.review.say(this.items.length ? "" : this.review.nothing());
    this.ahead(at + size, size);
  }

  async ahead(at, size) {
    const { feed } = this.review;
    await feed.upTo(at + size);
    const next = feed.items.slice(at, at + size);
    for (const each of next) new Image().src = feed.cropAddress(each);
    if (next.length) feed.withMasks(next).catch(() => null); // asked for again when it is displayed
  }

  draw(index) {
    const item = this.items[index], made = this.cells[index], mark = this.marks.get(item.o);
    made.classList.toggle("wrong", Boolean(mark?.wrong));
    made.classList.toggle("skipped", Boolean(mark?.skip));
    made.classList.toggle("decided", !open(item) && item.status !== "rejected");
    const states = [mark?.reason ?? (mark?.proposed ? "wrong?" : mark?.wrong ? "wrong" : mark?.skip ? "skip" : "")];
    if (!mark && !open(item)) states.push(item.rule ? "by rule" : item.status);
    if (item.disputed) states.push("disputed");
    if (item.before) states.push(`before: ${item.before}`);
    const text = states.filter(Boolean).join(" · ");
    made.querySelector(".mark").textContent = text;
    made.setAttribute("aria-selected", String(Boolean(mark?.wrong)));
    made.setAttribute("aria-label", `${item.label ?? item.concept}, score ${item.score}, ${text || "right"}`);
  }

  moveTo(index) {
    this.cells[this.focus]?.classList.remove("focused");
    this.focus = Math.min(Math.max(0, index), Math.max(0, this.cells.length - 1));
    const made = this.cells[this.focus];
    made?.classList.add("focused");
    made?.focus({ preventScroll: true });
    made?.scrollIntoView({ block: "nearest" });
  }

  move(by) {
    this.moveTo(this.focus + by);
  }

  columns() {
    return getComputedStyle(this.root).gridTemplateColumns.split(" ").length;
  }

  current() {
    return this.items[this.focus];
  }

  mark(mark) {
    const item = this.current();
    if (!item) return;
    if (mark) this.marks.set(item.o, mark);
    else this.marks.delete(item.o);
    this.draw(this.focus);
  }

  markAll() {
    const all = this.items.every((each) => this.marks.get(each.o)?.wrong);
    this.marks = new Map(all ? [] : this.items.map((each) => [each.o, this.marks.get(each.o) ?? { wrong: true }]));
    this.cells.forEach((_, index) => this.draw(index));
  }

  markAndMove(mark) {
    this.mark(mark);
    this.move(1);
  }

  // Stores the page: what is marked is rejected or skipped, the rest accepted; then the next one.
  async store() {
    const { items, marks, at, review } = this;
    if (!items.length || this.storing) return;
    this.storing = true;
    try {
      await review.feed.withMasks(items);
      const entries = items.flatMap((item) => this.decision(item, marks.get(item.o)));
      review.decisions.make(entries, at, (performance.now() - this.since) / 1000);
      await this.show(at + items.length);
    } catch (error) {
      review.say(`nothing of this page is stored: ${error.message}`);
    } finally {
      this.storing = false;
    }
  }

  decision(item, mark) {
    if (mark?.wrong) {
      const same = item.status === "rejected" && (item.reason ?? null) === (mark.reason ?? null);
      return same ? [] : [{ item, decision: "reject", ...(mark.reason && { reason: mark.reason }) }];
    }
    // Whoever could not see it has not accepted it.
    if (mark?.skip || item.broken) return [{ item, decision: "skip" }];
    const settled = ["accepted", "edited"].includes(item.status) && !this.review.redo(item);
    return settled ? [] : [{ item, decision: "accept" }];
  }
}
