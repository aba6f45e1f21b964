// Decisions: what they change on the page at once, their way to the server, and undo.

import { newId } from "./outbox.js";

const KEPT = ["status", "label", "reason", "rule", "disputed", "skipped", "by", "drawn"];
const MOST_SECONDS = 120;
const PAUSE_MS = 60_000;

export class Decisions {
  constructor(review) {
    this.review = review;
    this.done = [];
    this.times = [];
  }

  get who() {
    return this.review.who;
  }

  // entries: [{ item, decision, ...more }]; at: where to go back to when it is taken back.
  make(entries, at, seconds) {
    if (!entries.length) return;
    const share = Math.min(seconds / entries.length, MOST_SECONDS);
    const undo = { ids: [], before: [], at, view: this.review.view };
    const records = entries.map(({ item, decision, ...more }) => {
      const record = { id: newId(), decision, seconds: share, ...this.about(item, decision), ...more };
      undo.ids.push(record.id);
      if (item) undo.before.push(this.change(item, decision, more));
      return record;
    });
    this.done.push(undo);
    this.send(records);
    this.count(undo.before, 1);
  }

  about(item, decision) {
    if (!item) return {};
    const { key, concept, instance, whole } = item, order = this.review.order;
    const known = { key, concept, order, ...this.review.sampled() };
    return decision === "reject" && item.absent ? known : { ...known, instance, mask: whole.mask };
  }

  change(item, decision, more) {
    const before = { item, values: Object.fromEntries(KEPT.map((name) => [name, item[name]])), repaired: item.whole?.repaired };
    before.wasOpen = open(item);
    item.drawn ||= Boolean(this.review.sampled().sampled);
    if (decision === "skip") item.skipped = true;
    else {
      Object.assign(item, { skipped: false, rule: false, by: this.who, reason: more.reason ?? null });
      if (decision === "reject") item.status = "rejected";
      if (decision === "edit") item.whole.repaired = more.segmentation;
      if (decision === "relabel") item.label = more.relabel;
      if (decision !== "reject") item.status = item.whole.repaired ? "edited" : "accepted";
    }
    before.isOpen = open(item);
    return before;
  }

  undo() {
    const last = this.done.pop();
    if (!last) return null;
    this.send(last.ids.map((id) => ({ id: newId(), decision: "undo", undoes: id })));
    for (const { item, values, repaired } of last.before.reverse()) {
      Object.assign(item, values);
      if (item.whole) item.whole.repaired = repaired;
    }
    this.count(last.before, -1);
    return last;
  }

  send(records) {
    this.review.outbox.add(this.who, records);
  }

  count(before, sign) {
    for (const { item, wasOpen, isOpen } of before) {
      const concept = this.review.concept(item.concept);
      if (wasOpen !== isOpen) concept.decided += sign * (wasOpen ? 1 : -1);
    }
    this.times.push([Date.now(), sign * before.length]);
    this.review.progress();
  }

  // Objects in a minute over the last ten, pauses left out; null until there is enough to say so.
  rate() {
    const recent = this.times.filter(([at]) => at > Date.now() - 600_000);
    let busy = 0, made = 0;
    for (let n = 1; n < recent.length; n++) {
      const passed = recent[n][0] - recent[n - 1][0];
      if (passed > PAUSE_MS) continue;
      busy += passed;
      made += recent[n][1];
    }
    return busy > 5000 && made > 0 ? (made * 60_000) / busy : null;
  }
}

export function open(item) {
  return item.status === "auto" && !item.rule;
}
