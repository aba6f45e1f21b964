// What each key does, in each view; the help and the buttons are made of the same list.

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export function keys(review) {
  const list = review.single.editor ? editing(review) : review.view === "grid" ? grid(review) : single(review);
  return list.map((each) => ({ keys: [each.key], ...each }));
}

function common(review) {
  return [
    { key: "u", text: "take back the last decision", button: "Undo", act: () => review.undo() },
    { key: "space", keys: [], text: "hide the mask while it is held" },
    { key: "n", text: "the next concept that has something undecided", act: () => review.nextConcept() },
    { key: "b", text: "accept everything above a score, after a look at some", button: "Above a score…", act: review.bulk },
    { key: "?", text: "these keys", act: review.help },
  ];
}

function grid(review) {
  const { grid } = review, reasons = review.about.reasons;
  return [
    { key: "Enter", text: "store the page: what is marked is rejected, the rest accepted; low scores are marked already", button: "Store page", act: () => grid.store() },
    { key: "r", text: "mark as wrong, and go on", button: "Wrong", act: () => grid.markAndMove({ wrong: true }) },
    { key: "a", text: "mark as right, and go on", button: "Right", act: () => grid.markAndMove(null) },
    { key: "s", text: "skip it, and go on", button: "Skip", act: () => grid.markAndMove({ skip: true }) },
    {
      key: `1–${reasons.length}`, keys: reasons.map((_, n) => String(n + 1)), text: `wrong, with a reason: ${numbered(reasons)}`,
      act: (key) => grid.markAndMove({ wrong: true, reason: reasons[key - 1] }),
    },
    {
      key: "arrows", keys: Object.keys(ARROWS), repeats: true, text: "move among the objects",
      act: (key) => grid.move(ARROWS[key][0] + ARROWS[key][1] * grid.columns()),
    },
    { key: "w", text: "mark all of the page as wrong, or as right again", button: "All wrong", act: () => grid.markAll() },
    { key: ",", text: "the page before", act: () => review.show(grid.at - grid.items.length) },
    { key: ".", text: "the next page, without a decision", act: () => review.show(grid.at + grid.items.length) },
    { key: "v", text: "the object large (or double click)", button: "Large", act: () => review.setView("single") },
    ...common(review),
  ];
}

function single(review) {
  const { single } = review, { stage } = single, reasons = review.about.reasons;
  const toggle = (name) => () => {
    stage[name] = !stage[name];
    stage.draw();
  };
  return [
    { key: "a", text: "accept", button: "Accept", act: () => single.decide("accept") },
    { key: "r", text: "reject", button: "Reject", act: () => single.decide("reject") },
    {
      key: `1–${reasons.length}`, keys: reasons.map((_, n) => String(n + 1)), text: `reject, with a reason: ${numbered(reasons)}`,
      act: (key) => single.decide("reject", { reason: reasons[key - 1] }),
    },
    { key: "s", text: "skip", button: "Skip", act: () => single.decide("skip") },
    { key: "l", text: "it is another concept", button: "Relabel", act: review.relabel },
    { key: "x", text: "the concept is not in this image at all", button: "Not here", act: () => single.absent() },
    { key: "e", text: "repair the mask", button: "Repair", act: () => single.edit() },
    { key: "p", text: "accept it and make it a prompt of its concept, or take that back", button: "Prompt", act: () => single.prompt() },
    { key: "→", keys: ["ArrowRight", "."], repeats: true, text: "the next one", act: () => review.show(single.at + 1) },
    { key: "←", keys: ["ArrowLeft", ","], repeats: true, text: "the one before", act: () => review.show(single.at - 1) },
    { key: "+", keys: ["+", "="], repeats: true, text: "closer (or the wheel; drag to move)", act: () => stage.zoom(1.3) },
    { key: "-", repeats: true, text: "farther", act: () => stage.zoom(1 / 1.3) },
    { key: "0", text: "the whole image, then the object again", act: () => stage.frame(stage.box ? null : single.item?.box ?? null) },
    { key: "f", text: "fill: strong, weak, none", act: () => {
      stage.fill = stage.fill > 0.5 ? 0.35 : stage.fill > 0.2 ? 0 : 0.65;
      stage.draw();
    } },
    { key: "o", text: "outlines of the other objects", act: toggle("others") },
    { key: "m", text: "the similarity map", act: () => single.toggleSimilarity() },
    { key: "t", text: "points", act: toggle("showPoints") },
    { key: "v", keys: ["v", "g", "Escape"], text: "back to the grid", button: "Grid", act: () => review.setView("grid") },
    ...common(review),
  ];
}

function editing(review) {
  const { single } = review, { editor } = single;
  const tool = (erase) => () => {
    editor.erase = erase;
    single.stage.draw();
  };
  return [
    { key: "b", text: "brush", button: "Brush", act: tool(false) },
    { key: "e", text: "eraser (or the right button, or shift)", button: "Eraser", act: tool(true) },
    { key: "[", keys: ["[", "-"], repeats: true, text: "a smaller one", button: "Smaller", act: () => editor.resize(0.8) },
    { key: "]", keys: ["]", "+", "="], repeats: true, text: "a larger one", button: "Larger", act: () => editor.resize(1.25) },
    { key: "arrows", keys: Object.keys(ARROWS), repeats: true, text: "move it", act: (key) => editor.move(...ARROWS[key]) },
    { key: "space", keys: [" "], repeats: true, text: "paint where it is", act: () => editor.stamp() },
    { key: "g", repeats: true, text: "the mask a pixel larger all around", button: "Grow", act: () => editor.spread(true) },
    { key: "h", repeats: true, text: "the mask a pixel smaller all around", button: "Shrink", act: () => editor.spread(false) },
    { key: "u", text: "take back the last stroke", button: "Undo", act: () => editor.undo() },
    { key: "Enter", text: "save the repaired mask", button: "Save", act: () => single.leave(true) },
    { key: "Escape", text: "leave it as it was", button: "Leave", act: () => single.leave(false) },
    { key: "?", text: "these keys", act: review.help },
  ];
}

function numbered(reasons) {
  return reasons.map((reason, n) => `${n + 1} ${reason}`).join(", ");
}
