// The page of `ipseg review`: filters, progress, and what each key does.

import { help, relabel, bulk } from "./dialogs.js";
import { element } from "./cells.js";
import { Decisions, open } from "./decide.js";
import { ask, Feed } from "./feed.js";
import { Grid } from "./grid.js";
import { listen } from "./controls.js";
import { keys } from "./keys.js";
import { Outbox } from "./outbox.js";
import { Single } from "./single.js";

const part = (id) => document.getElementById(id);
const REFRESH_MS = 20_000;
const NAMES = {
  uncertain: "least sure first", random: "random", highest: "highest score", lowest: "lowest score", newest: "newest",
  undecided: "undecided", all: "all", accepted: "accepted", rejected: "rejected", edited: "repaired",
  relabelled: "relabelled", rule: "accepted by rule", disputed: "disputed", changed: "changed since",
};

class Review {
  constructor(about) {
    Object.assign(this, { about, view: "grid", concepts: new Map() });
    this.names = NAMES;
    this.part = part;
    this.who = localStorage.getItem("ipseg-review-who") || about.who;
    this.wanted = { concept: about.start.concept ?? "", order: about.start.order ?? "uncertain", status: "undecided", least: 0, most: 1, key: "", side: "" };
    this.take(about);
    part("run").textContent = about.run.split("/").filter(Boolean).at(-1) ?? about.run;
    part("run").title = about.run;
    // One question at a time: is this a cup? Concepts come one after the other unless all are chosen.
    this.wanted.concept ||= this.undecided()?.name ?? "";
    this.decisions = new Decisions(this);
    this.outbox = new Outbox(about.run, (...state) => this.saved(...state), (record, why) => this.say(`Not stored: ${why}`));
    this.feed = new Feed({ ...this.wanted, who: this.who }, about.version);
    this.grid = new Grid(this, part("grid"));
    this.single = new Single(this, part);
  }

  take(about) {
    this.about = about;
    for (const each of about.concepts) this.concepts.set(each.name, Object.assign(this.concepts.get(each.name) ?? {}, each));
  }

  get order() {
    return this.wanted.order;
  }

  concept(name) {
    return this.concepts.get(name);
  }

  colour(item) {
    return (this.concept(item.label ?? item.concept) ?? this.concept(item.concept)).colour;
  }

  chosen() {
    return this.wanted.concept ? [this.concept(this.wanted.concept)] : [...this.concepts.values()];
  }

  // How an item was drawn, where it was by lot: then its decision may calibrate scores.
  sampled() {
    const { order, status, least, most, key, side } = this.wanted;
    const fair = order === "random" && status === "undecided" && least <= 0 && most >= 1 && !key && !side;
    const objects = this.chosen().reduce((sum, each) => sum + each.objects, 0);
    return fair ? { sampled: { how: "random", p: 1 / objects } } : {};
  }

  // Whether a decided item is offered again, to be part of a fair sample.
  redo(item) {
    return Boolean(this.sampled().sampled) && !item.drawn;
  }

  // Whether the grid proposes to reject an item. Not in a sample: there nothing may lead the eye.
  doubtful(item) {
    return this.order !== "random" && open(item) && item.confidence < this.concept(item.concept).threshold;
  }

  get current() {
    return this.view === "grid" ? this.grid : this.single;
  }

  say(text) {
    part("message").textContent = text;
  }

  undecided() {
    return [...this.concepts.values()].find((each) => each.decided < each.objects && each.name !== this.wanted.concept);
  }

  nextConcept() {
    const next = this.undecided();
    if (next) this.restart({ concept: next.name });
    else this.say("All other concepts are decided.");
  }

  nothing() {
    const { status } = this.wanted, next = this.undecided();
    const end = this.feed.items.length ? "That was the last one of these." : `No ${status === "all" ? "" : `${NAMES[status]} `}objects with these filters.`;
    return next ? `${end} n: on to ${next.name}.` : end;
  }

  saved(waiting, problem) {
    part("saved").textContent = problem ? `${waiting} not saved: ${problem}` : waiting ? `${waiting} unsaved` : "saved";
    part("saved").className = problem ? "bad" : waiting ? "waiting" : "";
  }

  progress() {
    const chosen = this.chosen(), sum = (name) => chosen.reduce((total, each) => total + each[name], 0);
    const decided = sum("decided"), objects = sum("objects"), rate = this.decisions?.rate();
    part("progress").max = Math.max(1, objects);
    part("progress").value = decided;
    const words = [`${decided.toLocaleString("en")} of ${objects.toLocaleString("en")} decided`];
    if (rate) words.push(`${Math.round(rate)} a minute`, `${span((objects - decided) / rate)} left`);
    if (this.about.failed) words.push(`${this.about.failed.toLocaleString("en")} images failed`);
    part("how-far").textContent = words.join(" · ");
  }

  async show(at) {
    try {
      await this.current.show(Math.max(0, at));
    } catch (error) {
      this.say(error.message);
    }
    this.progress();
  }

  setView(view) {
    const at = this.view === "grid" ? (this.grid.at ?? 0) + (view === "single" ? this.grid.focus : 0) : this.single.at ?? 0;
    this.single.leave(false);
    this.view = view;
    for (const each of ["grid", "single"]) {
      part(each).hidden = each !== view;
      part(`view-${each}`).setAttribute("aria-pressed", String(each === view));
    }
    document.body.dataset.view = view;
    if (view === "grid") history.replaceState(null, "", location.pathname);
    this.actions();
    return this.show(at);
  }

  open(at) {
    this.view = "single";
    this.single.at = at;
    return this.setView("single");
  }

  undo() {
    if (this.single.editor?.undo()) return;
    const last = this.decisions.undo();
    if (!last) {
      this.say("Nothing to take back.");
      return;
    }
    const done = () => this.say(`Taken back: ${last.ids.length === 1 ? "1 decision" : `${last.ids.length} decisions`}.`);
    if (last.rule) {
      this.again().then(done);
      return;
    }
    if (last.view !== this.view) this.setView(last.view);
    this.show(last.at ?? 0).then(done);
  }

  restart(changes = {}) {
    Object.assign(this.wanted, changes);
    for (const name of ["concept", "order", "status", "least", "most", "key", "side"]) part(name).value = this.wanted[name];
    this.feed = new Feed({ ...this.wanted, who: this.who }, this.about.version);
    return this.show(0);
  }

  // From the start, with what the server knows once it has everything.
  async again() {
    await this.outbox.settled();
    await this.refresh();
    await this.restart();
  }

  actions() {
    const buttons = keys(this).filter((each) => each.button);
    part("actions").replaceChildren(...buttons.map(({ key, button, act }) => {
      const made = element("button", { type: "button", textContent: button }, element("kbd", { textContent: key }));
      made.addEventListener("click", () => this.run(act));
      return made;
    }));
  }

  // What a key or a button does; what goes wrong is said on the page.
  async run(act, key) {
    try {
      await act(key);
    } catch (error) {
      this.say(error instanceof TypeError ? "The server does not answer." : error.message);
    }
  }

  async refresh() {
    if (this.outbox.waiting.length) return;
    const about = await ask("about");
    if (this.outbox.waiting.length) return; // decided meanwhile: what came is older than the page
    this.take(about);
    this.progress();
  }

  help = () => help(this);
  relabel = () => relabel(this);
  bulk = () => bulk(this);
}

function span(minutes) {
  if (minutes < 1) return "less than 1 min";
  if (minutes < 90) return `${Math.round(minutes)} min`;
  return `${Math.floor(minutes / 60)} h ${Math.round(minutes % 60)} min`;
}

async function start() {
  const review = new Review(await ask("about"));
  window.review = review;
  listen(review);
  const asked = new URLSearchParams(location.hash.slice(1));
  if (asked.has("key")) {
    try {
      const item = await ask("find", { key: asked.get("key"), object: asked.get("object") ?? "0" });
      review.feed.items.unshift(item);
      await review.open(0);
    } catch (error) {
      await review.setView("grid");
      review.say(error.message);
    }
  } else await review.setView("grid");
  setInterval(() => review.refresh().catch(() => null), REFRESH_MS); // the outbox says when it is away
  document.body.dataset.ready = "yes";
}

start().catch((error) => {
  part("message").textContent = error.message;
});
