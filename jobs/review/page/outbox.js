// Decisions on their way to the server: kept in the browser until each is known to be on disk.

const RETRY_MS = [500, 1000, 2000, 4000];

export function newId() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((n) => n.toString(16).padStart(2, "0")).join("");
}

export class Outbox {
  constructor(run, onChange, onRefused) {
    this.prefix = `ipseg-review ${run} `;
    this.own = this.prefix + newId();
    Object.assign(this, { onChange, onRefused, waiting: [], failures: 0, problem: "", timer: 0, busy: false, calls: [] });
    for (const name of Object.keys(localStorage).filter((each) => each.startsWith(this.prefix))) {
      // Of a tab that was closed before its server came back; if it is open still, ids keep both apart.
      this.waiting.push(...JSON.parse(localStorage.getItem(name)));
      localStorage.removeItem(name);
    }
    this.keep();
    this.send();
  }

  add(who, decisions) {
    this.waiting.push(...decisions.map((each) => ({ who, ...each })));
    this.keep();
    if (!this.failures) this.send();
  }

  // When everything that was decided so far is on disk.
  settled() {
    return this.waiting.length ? new Promise((resolve) => this.calls.push(resolve)) : Promise.resolve();
  }

  keep() {
    try {
      if (this.waiting.length) localStorage.setItem(this.own, JSON.stringify(this.waiting));
      else localStorage.removeItem(this.own);
    } catch (error) {
      this.problem = `kept in this tab alone (${error.name})`; // the browser has no room for more
    }
    this.onChange(this.waiting.length, this.problem);
    if (!this.waiting.length) this.calls.splice(0).forEach((resolve) => resolve());
  }

  async send() {
    if (this.busy || !this.waiting.length) return;
    this.busy = true;
    clearTimeout(this.timer);
    const who = this.waiting[0].who;
    const batch = this.waiting.slice(0, 200).filter((each) => each.who === who);
    try {
      const answer = await fetch("/api/decisions", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ who, decisions: batch }),
      });
      if (answer.status === 403) throw new Error("open the address that `ipseg review` printed");
      if (!answer.ok) throw new Error((await answer.json()).error);
      const { saved, refused } = await answer.json();
      const done = new Set([...saved, ...Object.keys(refused)]);
      this.waiting = this.waiting.filter((each) => !done.has(each.id));
      this.failures = 0;
      this.problem = "";
      for (const [id, why] of Object.entries(refused)) this.onRefused(batch.find((each) => each.id === id), why);
    } catch (error) {
      this.problem = error instanceof TypeError ? "the server does not answer" : error.message;
      this.timer = setTimeout(() => this.send(), RETRY_MS[Math.min(this.failures++, RETRY_MS.length - 1)]);
    }
    this.busy = false;
    this.keep();
    if (!this.failures) this.send();
  }
}
