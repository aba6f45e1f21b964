// Small repairs of a mask: brush and eraser, by pointer or by keys.

export class Editor {
  constructor(stage, entry, box) {
    Object.assign(this, { stage, entry, radius: 0, erase: false, last: null, past: [], before: entry.mask });
    this.radius = Math.max(2, Math.round(Math.min(box[2], box[3]) / 12) || 4);
    this.at = [box[0] + box[2] / 2, box[1] + box[3] / 2];
    entry.mask = entry.mask.whole();
    this.refresh();
    stage.editor = this;
    stage.draw();
  }

  refresh() {
    this.entry.layer = this.entry.mask.layer(this.entry.colour);
    this.entry.path = this.entry.mask.outline();
    this.stage.draw();
  }

  remember() {
    this.past.push(this.entry.mask.data.slice());
    if (this.past.length > 20) this.past.shift();
  }

  undo() {
    if (!this.past.length) return false;
    this.entry.mask.data = this.past.pop();
    this.refresh();
    return true;
  }

  pointer(name, event, x, y) {
    this.at = [x, y];
    if (name === "pointerdown" && event.button !== 1) {
      this.remember();
      this.stroke = event.button === 2 || event.shiftKey ? !this.erase : this.erase;
      this.last = [x, y];
    }
    if (this.last && (name === "pointerdown" || name === "pointermove")) this.line(x, y);
    if (name === "pointerup" || name === "pointercancel") {
      this.last = null;
      this.refresh();
    }
    this.stage.draw();
  }

  line(x, y) {
    const [fromX, fromY] = this.last, steps = Math.ceil(Math.hypot(x - fromX, y - fromY) / Math.max(1, this.radius / 2)) || 1;
    for (let step = 1; step <= steps; step++) {
      this.dab(fromX + ((x - fromX) * step) / steps, fromY + ((y - fromY) * step) / steps, this.stroke);
    }
    this.last = [x, y];
  }

  // Where the cursor is, as a stroke of its own.
  stamp() {
    this.remember();
    this.dab(...this.at, this.erase);
    this.refresh();
  }

  dab(x, y, erase) {
    const { mask, layer, colour } = this.entry, r = this.radius;
    const x0 = Math.max(0, Math.floor(x - r)), x1 = Math.min(mask.width, Math.ceil(x + r) + 1);
    const y0 = Math.max(0, Math.floor(y - r)), y1 = Math.min(mask.height, Math.ceil(y + r) + 1);
    if (x0 >= x1 || y0 >= y1) return;
    for (let row = y0; row < y1; row++) {
      for (let column = x0; column < x1; column++) {
        if ((column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2 <= r * r) mask.data[row * mask.width + column] = erase ? 0 : 1;
      }
    }
    mask.paint(layer, colour, x0, y0, x1 - x0, y1 - y0);
    this.stage.draw();
  }

  spread(grow) {
    this.remember();
    this.entry.mask.spread(grow);
    this.refresh();
  }

  move(dx, dy) {
    const step = Math.max(1, this.radius / 2), { width, height } = this.entry.mask;
    this.at = [Math.min(width, Math.max(0, this.at[0] + dx * step)), Math.min(height, Math.max(0, this.at[1] + dy * step))];
    this.stage.draw();
  }

  resize(by) {
    this.radius = Math.min(400, Math.max(1, by > 1 ? Math.ceil(this.radius * by) : Math.floor(this.radius * by)));
    this.stage.draw();
  }

  leave(keep) {
    if (!keep) {
      this.entry.mask = this.before;
      this.refresh();
    }
    this.stage.editor = null;
    this.stage.draw();
  }

  paint(context, pixel) {
    for (const [colour, width] of [["#000", 3], [this.erase ? "#ff8a80" : "#ffffff", 1.5]]) {
      context.beginPath();
      context.arc(...this.at, this.radius, 0, 7);
      context.strokeStyle = colour;
      context.lineWidth = width * pixel;
      context.stroke();
    }
  }
}
