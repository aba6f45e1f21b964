// Filters at the top, and keys: what a person does goes from here to the review.

import { element } from "./cells.js";
import { keys } from "./keys.js";

const part = (id) => document.getElementById(id);

function fill(select, names, value, text = (name) => name) {
  part(select).replaceChildren(...names.map((name) => element("option", { value: name, textContent: text(name) })));
  part(select).value = value;
}

export function listen(review) {
  const { wanted } = review;
  const concept = (name) => (name ? `${name} (${review.concept(name).objects.toLocaleString("en")})` : "all");
  fill("concept", ["", ...review.concepts.keys()], wanted.concept, concept);
  fill("order", review.about.orders, wanted.order, (name) => review.names[name]);
  fill("status", review.about.filters, wanted.status, (name) => review.names[name]);
  fill("side", ["", ...review.about.sides], wanted.side, (name) => name || "all");
  part("sides").hidden = !review.about.sides.length;
  part("who").value = review.who;
  for (const name of ["concept", "order", "status", "least", "most", "key", "side"]) {
    part(name).addEventListener("change", (event) => {
      event.target.blur();
      review.restart({ [name]: event.target.value });
    });
  }
  part("who").addEventListener("change", (event) => {
    review.who = event.target.value.trim() || review.about.who;
    localStorage.setItem("ipseg-review-who", review.who);
    event.target.blur();
    review.restart();
  });
  part("filters").addEventListener("submit", (event) => event.preventDefault());
  part("filters-toggle").addEventListener("click", (event) => {
    const open = document.body.classList.toggle("filters-open");
    event.currentTarget.setAttribute("aria-expanded", String(open));
  });
  for (const [id, act] of [["view-grid", () => review.setView("grid")], ["view-single", () => review.setView("single")], ["help-open", review.help]]) {
    part(id).addEventListener("click", act);
  }
  // Behind a click of the mouse, the next key is meant for the page and not for the button.
  document.addEventListener("click", (event) => {
    if (event.detail && event.target.closest("button") && !part("dialog").open) document.activeElement.blur();
  });
  document.addEventListener("keydown", (event) => pressed(review, event));
  document.addEventListener("keyup", (event) => {
    if (event.key === " ") hide(review, false);
  });
  addEventListener("resize", () => review.view === "grid" && review.grid.size());
}

function hide(review, hidden) {
  document.body.classList.toggle("hide-masks", hidden);
  review.single.stage.hidden = hidden;
  review.single.stage.draw();
}

function pressed(review, event) {
  const { target } = event, typing = target.matches("input, select, textarea");
  if (part("dialog").open || event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing) {
    if (event.key === "Escape") target.blur();
    return;
  }
  if (target.matches("button") && ["Enter", " "].includes(event.key)) return;
  if (event.key === " " && !review.single.editor) {
    event.preventDefault();
    hide(review, true);
    return;
  }
  const found = keys(review).find((each) => each.keys.includes(event.key));
  if (!found || (event.repeat && !found.repeats)) return;
  event.preventDefault();
  review.run(found.act, event.key);
}
