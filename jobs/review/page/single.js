// One object, large.

import { element } from "./cells.js";
import { open } from "./decide.js";
import { Editor } from "./edit.js";
import { Mask } from "./mask.js";
import { Stage } from "./stage.js";
import { ask } from "./feed.js";

const AHEAD = 5;

export class Single {
  constructor(review, part) {
    Object.assign(this, { review, part, stage: new Stage(part("canvas")), item: null, since: 0 });
  }

  async show(at) {
    const { feed } = this.review, turn = (this.turn = Symbol("turn"));
    this.leave(false);
    await feed.upTo(at + 1);
    if (turn !== this.turn) return;
    this.at = at;
    const item = (this.item = feed.items[at] ?? null);
    this.ahead(at);
    if (!item) {
      this.stage.show(null, [1, 1], [], []);
      this.describe();
      this.review.say(this.review.nothing());
      return;
    }
    history.replaceState(null, "", `#${new URLSearchParams({ key: item.key, object: item.object })}`);
    const [image] = await Promise.all([feed.image(item), feed.withMasks([item])]).catch(() => [null]);
    if (turn !== this.turn) return;
    item.broken = !image || !item.whole;
    this.review.say(item.broken ? "The image cannot be read." : "");
    this.since = performance.now();
    this.describe();
    if (!item.whole) return;
    this.main = { ...this.entry(item, item.whole), main: true };
    this.stage.similarity = null;
    if (this.similar) this.similarity(item, turn);
    this.stage.show(image, item.size, [this.main], item.whole.points);
    this.stage.frame(item.box);
    if (item.siblings > 1) {
      const { objects } = await ask("objects", { image: item.image });
      if (turn !== this.turn) return;
      const others = objects.filter((each) => each.o !== item.o && each.frame === item.frame && each.status !== "rejected");
      this.stage.entries = [...others.map((each) => this.entry(each, each)), this.main];
      this.stage.draw();
    }
  }

  // The similarity map behind the outline: made when it is asked for, with the method of the run.
  async similarity(item, turn) {
    this.review.say("The similarity map is being made …");
    const answer = await fetch(`/similarity/${this.review.feed.version}/${item.o}`);
    const made = answer.ok ? await createImageBitmap(await answer.blob()) : null;
    const why = made ? "" : ((await answer.json().catch(() => null))?.error ?? "it cannot be made");
    if (turn !== this.turn || !this.similar) return;
    this.stage.similarity = made;
    this.stage.draw();
    this.review.say(made ? "" : `No similarity map: ${why}`);
  }

  toggleSimilarity() {
    this.similar = !this.similar;
    this.stage.similarity = null;
    this.stage.draw();
    if (this.similar && this.item?.whole) return this.similarity(this.item, this.turn);
    this.review.say("");
    return null;
  }

  entry(item, { repaired, segmentation }) {
    const mask = Mask.from(repaired ?? segmentation), colour = this.review.colour(item);
    return { mask, colour, path: mask.outline(), layer: mask.layer(colour) };
  }

  async ahead(at) {
    const { feed } = this.review;
    await feed.upTo(at + 1 + AHEAD);
    const next = feed.items.slice(at + 1, at + 1 + AHEAD);
    next.forEach((each) => feed.image(each));
    if (next.length) feed.withMasks(next).catch(() => null); // asked for again when it is displayed
  }

  describe() {
    const { part, item } = this;
    part("title").textContent = item ? `${item.label ?? item.concept}${item.instance ? ` #${item.instance}` : ""}` : "";
    part("image-key").textContent = item?.key ?? "";
    const said = [];
    if (item) {
      const status = item.rule ? "accepted by a rule" : item.status === "auto" ? "undecided" : item.status;
      said.push(item.by ? `${status} by ${item.by}` : status);
      if (item.reason) said.push(item.reason);
      if (item.label && item.label !== item.concept) said.push(`found as ${item.concept}`);
      if (item.disputed) said.push("disputed");
      if (item.before) said.push(`its mask is another one now; before it was ${item.before}`);
      if (item.whole?.prompt) said.push("is a prompt");
    }
    part("verdict").textContent = said.join(" · ");
    part("verdict").className = item ? (open(item) ? "auto" : item.rule ? "accepted" : item.status) : "";
    const facts = item?.whole ? [
      ["score", item.score.toFixed(3)],
      ["confidence", item.confidence === item.score ? undefined : item.confidence.toFixed(3)],
      ["predicted IoU", item.whole.predicted_iou?.toFixed(3)],
      ...Object.entries(item.whole.evidence).map(([name, value]) => [name, value?.toFixed(3)]),
      ["area", `${((100 * item.area) / (item.size[0] * item.size[1])).toFixed(1)} %`],
      ["image", `${item.size[0]} × ${item.size[1]}`],
      ["objects there", item.siblings],
    ] : [];
    part("facts").replaceChildren(...facts.filter(([, value]) => value !== undefined).flatMap(([name, value]) => [
      element("dt", { textContent: name }), element("dd", { textContent: value }),
    ]));
  }

  seconds() {
    return (performance.now() - this.since) / 1000;
  }

  decide(decision, more = {}) {
    const { item, review } = this;
    if (!item?.whole || (item.broken && decision !== "skip")) return;
    if (decision === "reject" && item.whole.prompt) this.prompt();
    review.decisions.make([{ item, decision, ...more }], this.at, this.seconds());
    this.next();
  }

  // The concept is not in the image at all.
  absent() {
    const { item, review } = this;
    if (!item?.whole || item.broken) return;
    item.absent = true;
    const others = review.feed.items.filter((each) => each !== item && each.image === item.image && each.concept === item.concept);
    review.decisions.make([{ item, decision: "reject" }], this.at, this.seconds());
    delete item.absent;
    const last = review.decisions.done.at(-1);
    const also = others.map((each) => review.decisions.change(each, "reject", {}));
    last.before.push(...also);
    review.decisions.count(also, 1);
    this.next();
  }

  next() {
    const { items } = this.review.feed;
    let at = this.at + 1;
    while (this.review.wanted.status === "undecided" && items[at] && !open(items[at]) && !this.review.redo(items[at])) at++;
    return this.show(at);
  }

  async prompt() {
    const { item, review } = this;
    if (!item?.whole || item.broken) return;
    const on = !item.whole.prompt;
    if (on && (open(item) || item.rule || item.status === "rejected")) {
      review.decisions.make([{ item, decision: "accept" }], this.at, this.seconds());
    }
    await review.outbox.settled();
    const { key, concept, instance, whole: { mask } } = item;
    const answer = await fetch("/api/prompt", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ who: review.who, key, concept, instance, mask, on }),
    });
    const stored = await answer.json();
    if (answer.ok) item.whole.prompt = stored.prompt;
    review.say(answer.ok ? (stored.prompt ? `Prompt: ${stored.file}` : "No prompt any more.") : stored.error);
    if (item === this.item) this.describe();
  }

  edit() {
    if (!this.item?.whole || this.item.broken || this.editor) return;
    this.setEditor(new Editor(this.stage, this.main, this.item.box));
  }

  leave(keep) {
    const { editor, main, item } = this;
    if (!editor) return;
    const segmentation = keep ? main.mask.rle() : null;
    if (keep && !main.mask.area()) {
      this.review.say("The mask is empty: reject the object instead.");
      return;
    }
    editor.leave(keep);
    this.setEditor(null);
    const { counts } = item.whole.repaired ?? item.whole.segmentation;
    if (keep && segmentation.counts !== counts) this.decide("edit", { segmentation });
  }

  setEditor(editor) {
    this.editor = editor;
    this.review.actions();
  }
}
