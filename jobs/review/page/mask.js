// Masks: COCO's run lengths, pixels of the box that holds the object, outlines along pixel edges.

export function decodeCounts(text) {
  const runs = [];
  for (let at = 0; at < text.length;) {
    let value = 0, digit = 0, more = true;
    while (more) {
      const code = text.charCodeAt(at++) - 48;
      value |= (code & 31) << (5 * digit++);
      more = (code & 32) !== 0;
      if (!more && code & 16) value |= -1 << (5 * digit);
    }
    runs.push(runs.length > 2 ? value + runs[runs.length - 2] : value);
  }
  return runs;
}

export function encodeCounts(runs) {
  let text = "";
  for (let at = 0; at < runs.length; at++) {
    let value = at > 2 ? runs[at] - runs[at - 2] : runs[at];
    for (let more = true; more;) {
      let code = value & 31;
      value >>= 5;
      more = code & 16 ? value !== -1 : value !== 0;
      if (more) code |= 32;
      text += String.fromCharCode(code + 48);
    }
  }
  return text;
}

export class Mask {
  // data: one byte for each pixel of the box (x, y, w, h), row after row.
  constructor(width, height, x, y, w, h, data) {
    Object.assign(this, { width, height, x, y, w, h, data });
  }

  static from({ size: [height, width], counts }) {
    const runs = decodeCounts(counts);
    let x0 = width, y0 = height, x1 = 0, y1 = 0, at = 0;
    runs.forEach((run, index) => {
      if (index % 2 && run) {
        const end = at + run - 1;
        const first = Math.floor(at / height), last = Math.floor(end / height);
        x0 = Math.min(x0, first);
        x1 = Math.max(x1, last + 1);
        y0 = first === last ? Math.min(y0, at % height) : 0;
        y1 = first === last ? Math.max(y1, (end % height) + 1) : height;
      }
      at += run;
    });
    const w = Math.max(0, x1 - x0), h = Math.max(0, y1 - y0);
    const mask = new Mask(width, height, x0, y0, w, h, new Uint8Array(w * h));
    at = 0;
    runs.forEach((run, index) => {
      if (index % 2) {
        for (let p = at; p < at + run; p++) {
          mask.data[((p % height) - y0) * w + Math.floor(p / height) - x0] = 1;
        }
      }
      at += run;
    });
    return mask;
  }

  whole() {
    const data = new Uint8Array(this.width * this.height);
    for (let row = 0; row < this.h; row++) {
      data.set(this.data.subarray(row * this.w, (row + 1) * this.w), (this.y + row) * this.width + this.x);
    }
    return new Mask(this.width, this.height, 0, 0, this.width, this.height, data);
  }

  rle() {
    const runs = [];
    let end = 0, start = -1;
    for (let column = 0; column < this.w; column++) {
      for (let row = 0; row < this.h; row++) {
        if (!this.data[row * this.w + column]) continue;
        const at = (this.x + column) * this.height + this.y + row;
        if (start < 0 || at !== end) {
          if (start >= 0) runs.push(end - start);
          runs.push(at - (start < 0 ? 0 : end));
          start = at;
        }
        end = at + 1;
      }
    }
    if (start >= 0) runs.push(end - start);
    const left = this.width * this.height - end;
    if (left || !runs.length) runs.push(left);
    return { size: [this.height, this.width], counts: encodeCounts(runs) };
  }

  area() {
    return this.data.reduce((sum, pixel) => sum + pixel, 0);
  }

  // One pixel more (or, with `grow` false, less) all around; the mask has to be a whole one.
  spread(grow) {
    const { width, height, data } = this, next = data.slice();
    for (let at = 0, y = 0; y < height; y++) {
      for (let x = 0; x < width; x++, at++) {
        if (data[at] === (grow ? 1 : 0)) continue;
        const near = (x && data[at - 1] === (grow ? 1 : 0)) || (x + 1 < width && data[at + 1] === (grow ? 1 : 0)) ||
          (y && data[at - width] === (grow ? 1 : 0)) || (y + 1 < height && data[at + width] === (grow ? 1 : 0));
        if (near) next[at] = grow ? 1 : 0;
      }
    }
    this.data = next;
  }

  // Edges between mask and background, in pixels of the image.
  outline() {
    const { x, y, w, h, data } = this, path = new Path2D();
    const pixel = (column, row) => column >= 0 && row >= 0 && column < w && row < h ? data[row * w + column] : 0;
    for (let row = 0; row <= h; row++) {
      for (let column = 0, from = -1; column <= w; column++) {
        const edge = column < w && pixel(column, row - 1) !== pixel(column, row);
        if (edge && from < 0) from = column;
        if (!edge && from >= 0) {
          path.moveTo(x + from, y + row);
          path.lineTo(x + column, y + row);
          from = -1;
        }
      }
    }
    for (let column = 0; column <= w; column++) {
      for (let row = 0, from = -1; row <= h; row++) {
        const edge = row < h && pixel(column - 1, row) !== pixel(column, row);
        if (edge && from < 0) from = row;
        if (!edge && from >= 0) {
          path.moveTo(x + column, y + from);
          path.lineTo(x + column, y + row);
          from = -1;
        }
      }
    }
    return path;
  }

  // The box as a canvas filled with a colour where the mask is.
  layer(colour) {
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, this.w);
    canvas.height = Math.max(1, this.h);
    if (this.w && this.h) this.paint(canvas, colour, 0, 0, this.w, this.h);
    return canvas;
  }

  paint(canvas, colour, x, y, w, h) {
    const pixels = new ImageData(w, h), words = new Uint32Array(pixels.data.buffer);
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
    const word = (255 << 24) | (b << 16) | (g << 8) | r;
    for (let row = 0; row < h; row++) {
      for (let column = 0; column < w; column++) {
        if (this.data[(y + row) * this.w + x + column]) words[row * w + column] = word;
      }
    }
    canvas.getContext("2d").putImageData(pixels, x, y);
  }
}
