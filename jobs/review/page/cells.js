// One object of a grid: its crop, with the mask drawn on it.

import { Mask } from "./mask.js";

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export function cell(item, feed, colour) {
  const image = element("img", { alt: "", src: feed.cropAddress(item), draggable: false });
  const canvas = element("canvas", { className: "overlay" });
  const mark = element("span", { className: "mark" });
  const made = element(
    "div",
    { className: "cell", tabIndex: -1 },
    element("div", { className: "crop" }, image, canvas, mark),
    element("div", { className: "caption" },
      element("span", { className: "name", textContent: item.label ?? item.concept, title: item.key }),
      element("span", { className: "score", textContent: item.score.toFixed(2) })),
  );
  made.setAttribute("role", "option");
  made.dataset.o = item.o;
  image.addEventListener("error", () => {
    item.broken = true;
    made.classList.add("broken");
  });
  feed.withMasks([item]).then(() => overlay(canvas, item, colour), () => made.classList.add("broken"));
  return made;
}

export function overlay(canvas, item, colour) {
  const [x0, y0, x1, y1] = item.crop, scale = 360 / Math.max(x1 - x0, y1 - y0);
  canvas.width = Math.round((x1 - x0) * scale);
  canvas.height = Math.round((y1 - y0) * scale);
  const mask = Mask.from(item.whole.repaired ?? item.whole.segmentation), context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, -x0 * scale, -y0 * scale);
  context.globalAlpha = 0.28;
  context.imageSmoothingEnabled = false;
  context.drawImage(mask.layer(colour), mask.x, mask.y);
  context.globalAlpha = 1;
  const path = mask.outline();
  for (const [ink, width] of [["rgb(0 0 0 / 0.8)", 5], [colour, 2.6]]) {
    context.strokeStyle = ink;
    context.lineWidth = width / scale;
    context.stroke(path);
  }
}
