// One large image with masks, outlines and points on it, that can be zoomed and moved.

const MOST = 40;

export class Stage {
  constructor(canvas) {
    Object.assign(this, { canvas, image: null, width: 1, height: 1, entries: [], points: [] });
    Object.assign(this, { hidden: false, others: true, showPoints: true, fill: 0.35, editor: null, similarity: null });
    this.place = { scale: 1, x: 0, y: 0 };
    this.pointers = new Map();
    new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 400), ...this.at(event, false));
    }, { passive: false });
    for (const name of ["pointerdown", "pointermove", "pointerup", "pointercancel", "pointerleave"]) {
      canvas.addEventListener(name, (event) => this.pointer(name, event));
    }
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas.parentElement, ratio = devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(clientHeight * ratio));
    if (this.box) this.frame(this.box);
    else this.draw();
  }

  show(image, [width, height], entries, points) {
    Object.assign(this, { image, width, height, entries, points });
    this.draw();
  }

  // The part of the image around a box (x, y, w, h), or all of it.
  frame(box) {
    this.box = box;
    const [x, y, w, h] = box ?? [0, 0, this.width, this.height];
    const margin = box ? 1.8 : 1.02;
    const fit = Math.min(this.canvas.width / this.width, this.canvas.height / this.height);
    const close = Math.min(this.canvas.width / (w * margin), this.canvas.height / (h * margin));
    const scale = Math.max(Math.min(close, fit * MOST), Math.min(fit, close));
    const [cx, cy] = close <= fit * 1.4 ? [this.width / 2, this.height / 2] : [x + w / 2, y + h / 2];
    const used = close <= fit * 1.4 ? fit : scale;
    this.place = { scale: used, x: this.canvas.width / 2 - cx * used, y: this.canvas.height / 2 - cy * used };
    this.draw();
  }

  zoom(by, x = this.canvas.width / 2, y = this.canvas.height / 2) {
    const fit = Math.min(this.canvas.width / this.width, this.canvas.height / this.height);
    const scale = Math.min(Math.max(this.place.scale * by, fit * 0.5), fit * MOST);
    const real = scale / this.place.scale;
    this.place = { scale, x: x - (x - this.place.x) * real, y: y - (y - this.place.y) * real };
    this.box = null;
    this.draw();
  }

  // Where a pointer is, in pixels of the image or of the canvas.
  at(event, inImage = true) {
    const ratio = this.canvas.width / Math.max(1, this.canvas.clientWidth);
    const [x, y] = [event.offsetX * ratio, event.offsetY * ratio];
    return inImage ? [(x - this.place.x) / this.place.scale, (y - this.place.y) / this.place.scale] : [x, y];
  }

  pointer(name, event) {
    const before = this.pointers.get(event.pointerId);
    const here = this.at(event, false);
    if (name === "pointerdown") {
      this.canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, here);
    } else if (name !== "pointermove") {
      this.pointers.delete(event.pointerId);
    } else if (before) this.pointers.set(event.pointerId, here);
    const painting = this.editor && this.pointers.size <= 1 && event.button !== 1;
    if (painting) {
      this.editor.pointer(name, event, ...this.at(event));
    } else if (name === "pointermove" && before) {
      const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      if (others.length) {
        const far = (from) => Math.hypot(from[0] - others[0][0], from[1] - others[0][1]);
        this.zoom(far(here) / Math.max(1, far(before)), ...others[0]);
      } else {
        this.place.x += here[0] - before[0];
        this.place.y += here[1] - before[1];
        this.draw();
      }
    }
  }

  draw() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.paint();
    });
  }

  paint() {
    const context = this.canvas.getContext("2d"), { scale, x, y } = this.place, ratio = devicePixelRatio || 1;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.setTransform(scale, 0, 0, scale, x, y);
    context.imageSmoothingEnabled = scale < 3;
    if (this.image) context.drawImage(this.image, 0, 0, this.width, this.height);
    if (this.hidden) return;
    if (this.similarity) {
      context.globalAlpha = 0.65;
      context.imageSmoothingEnabled = true;
      context.drawImage(this.similarity, 0, 0, this.width, this.height);
    }
    for (const entry of this.entries) {
      if (!entry.main && !this.others) continue;
      context.globalAlpha = entry.main && !this.similarity ? this.fill : 0;
      if (context.globalAlpha) {
        context.imageSmoothingEnabled = false;
        context.drawImage(entry.layer, entry.mask.x, entry.mask.y);
      }
      context.globalAlpha = entry.main ? 1 : 0.7;
      for (const [colour, width] of [["rgb(0 0 0 / 0.75)", entry.main ? 3.6 : 2.4], [entry.colour, entry.main ? 1.8 : 1]]) {
        context.strokeStyle = colour;
        context.lineWidth = (width * ratio) / scale;
        context.setLineDash(entry.main ? [] : [(5 * ratio) / scale, (4 * ratio) / scale]);
        context.stroke(entry.path);
      }
    }
    context.globalAlpha = 1;
    context.setLineDash([]);
    const dot = (px, py, radius, colour) => {
      context.beginPath();
      context.arc(px, py, (radius * ratio) / scale, 0, 7);
      context.fillStyle = colour;
      context.fill();
    };
    for (const [px, py, label] of this.showPoints && !this.editor ? this.points : []) {
      dot(px, py, 5.5, "#000");
      dot(px, py, 4.5, "#fff");
      dot(px, py, 3.2, label === 1 ? "#00aa3c" : "#dc281e");
    }
    this.editor?.paint(context, ratio / scale);
  }
}
