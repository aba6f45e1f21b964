// Keys, another concept for an object, and accepting everything above a score.

import { cell, element } from "./cells.js";
import { ask } from "./feed.js";
import { newId } from "./outbox.js";
import { keys } from "./keys.js";

function open(title, ...content) {
  const dialog = document.getElementById("dialog");
  const close = element("button", { type: "button", className: "close", textContent: "×", title: "Close (Esc)" });
  close.setAttribute("aria-label", "Close");
  close.addEventListener("click", () => dialog.close());
  dialog.replaceChildren(close, element("h2", { id: "dialog-title", textContent: title }), ...content);
  dialog.className = "";
  dialog.onkeydown = null;
  if (!dialog.open) dialog.showModal();
  return dialog;
}

export function help(review) {
  const rows = keys(review).map(({ key, text }) =>
    element("tr", {}, element("td", {}, element("kbd", { textContent: key })), element("td", { textContent: text })));
  const where = review.single.editor ? "repair" : review.view === "grid" ? "grid" : "single view";
  open(`Keys: ${where}`, element("table", { className: "keys" }, ...rows));
}

export function relabel(review) {
  const item = review.single.item;
  if (!item?.whole || item.broken) return;
  const given = review.feed.items.map((each) => each.label).filter(Boolean);
  const names = [...new Set([...review.concepts.keys(), ...given])];
  const input = element("input", { type: "search", placeholder: "part of the name, or a new one", maxLength: 100, autocomplete: "off" });
  input.setAttribute("aria-label", "Concept");
  const list = element("div", { className: "choices" });
  const fitting = () => names.filter((each) => each.toLowerCase().includes(input.value.trim().toLowerCase()));
  const choose = (name) => {
    document.getElementById("dialog").close();
    review.single.decide("relabel", { relabel: name });
  };
  const draw = () => {
    const typed = input.value.trim(), fresh = typed && !names.includes(typed) ? [typed] : [];
    list.replaceChildren(...[...fitting().slice(0, 50), ...fresh].map((name) => {
      const made = element("button", { type: "button", textContent: names.includes(name) ? name : `new: ${name}` });
      made.addEventListener("click", () => choose(name));
      return made;
    }));
  };
  input.addEventListener("input", draw);
  draw();
  const dialog = open("It is another concept", input, list);
  dialog.onkeydown = (event) => {
    const buttons = [...list.children], at = buttons.indexOf(document.activeElement);
    if (event.key === "ArrowDown") buttons[Math.min(at + 1, buttons.length - 1)]?.focus();
    else if (event.key === "ArrowUp") (buttons[at - 1] ?? input).focus();
    else if (event.key === "Enter" && at < 0 && buttons.length) buttons[0].click();
    else return;
    event.preventDefault();
  };
  input.focus();
}

export function bulk(review) {
  const names = [...review.concepts.keys()];
  const concept = element("select", {}, ...names.map((name) => element("option", { value: name, textContent: name })));
  concept.value = review.wanted.concept || (review.current.item ?? review.grid.current?.())?.concept || names[0];
  const score = element("input", { type: "number", min: 0, max: 1, step: 0.05, value: 0.8 });
  const view = element("button", { type: "submit", textContent: "View a sample" });
  const form = element("form", { className: "row" },
    element("label", {}, "Concept ", concept), element("label", {}, "Score from ", score), view);
  const result = element("div");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await sampled(review, concept.value, Number(score.value), result);
    } catch (error) {
      result.textContent = error.message;
    }
  });
  open("Accept everything above a score", form, result).classList.add("wide");
  view.focus();
}

async function sampled(review, concept, least, result) {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const { count, nearest, random, of } = await ask("bulk", { concept, least, seed });
  if (!count) {
    result.textContent = "Nothing undecided is above this score.";
    return;
  }
  const wrong = new Set(), looked = [...nearest, ...random];
  await review.feed.withMasks(looked);
  const estimate = element("p", { className: "estimate" });
  const accept = element("button", { type: "button", className: "main" });
  const draw = async () => {
    const bad = (items) => items.filter((each) => wrong.has(each.o)).length;
    const drawn = random.length ? [bad(random), random.length] : [bad(nearest), nearest.length];
    const { rate, low, high } = await ask("interval", { wrong: drawn[0], looked: drawn[1] });
    const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
    estimate.textContent = `${bad(nearest)} of the ${nearest.length} nearest above the score are wrong. ` +
      (random.length ? `Of the ${of.toLocaleString("en")} others about ${percent(rate)} are (${percent(low)} to ${percent(high)}, 95 %), from ${random.length} drawn by lot.` : "These are all.");
    accept.textContent = `Accept ${(count - wrong.size).toLocaleString("en")}, reject ${wrong.size}`;
  };
  const cells = (items) => element("div", { className: "cells" }, ...items.map((item) => {
    const made = cell(item, review.feed, review.colour(item));
    made.tabIndex = 0;
    made.setAttribute("role", "checkbox");
    made.setAttribute("aria-label", `${concept}, score ${item.score}: wrong`);
    const flip = () => {
      if (!wrong.delete(item.o)) wrong.add(item.o);
      made.classList.toggle("wrong", wrong.has(item.o));
      made.setAttribute("aria-checked", String(wrong.has(item.o)));
      draw();
    };
    made.addEventListener("click", flip);
    made.addEventListener("keydown", (event) => {
      if (![" ", "r"].includes(event.key)) return;
      event.preventDefault();
      flip();
    });
    return made;
  }));
  accept.addEventListener("click", () => {
    document.getElementById("dialog").close();
    confirm(review, { concept, least, count, looked, wrong });
  });
  const heading = (text) => element("h3", { textContent: text });
  result.replaceChildren(
    element("p", { className: "note", textContent: `${count.toLocaleString("en")} undecided objects have a score of ${least} or more. Mark what is wrong among these (click, or space):` }),
    heading("Nearest above the score"), cells(nearest), ...(random.length ? [heading("Drawn by lot from the others"), cells(random)] : []),
    element("div", { className: "row end" }, estimate, accept),
  );
  result.querySelector(".cell").focus();
  await draw();
}

// One decision for the rule, and one for each object that was looked at.
function confirm(review, { concept, least, count, looked, wrong }) {
  const { decisions } = review, seen = looked.filter((each) => !each.broken);
  const rule = { concept, min_score: least, count, looked: seen.length, wrong: wrong.size };
  decisions.make(seen.map((item) => ({ item, decision: wrong.has(item.o) ? "reject" : "accept", order: "bulk", sampled: undefined })), review.current.at, 0);
  const id = newId(), last = decisions.done.at(-1);
  last.ids.push(id);
  last.rule = true;
  decisions.send([{ id, decision: "accept", rule, order: "bulk" }]);
  review.again().then(() => review.say(`${(count - wrong.size).toLocaleString("en")} accepted; u takes all of it back.`));
}
