// Objects in the order in which they are offered: what was seen, and some more ahead.

const PAGE = 120;

export async function ask(route, query = {}) {
  const answer = await fetch(`/api/${route}?${new URLSearchParams(query)}`);
  if (!answer.ok) {
    const text = await answer.text();
    throw new Error(answer.headers.get("content-type") === "application/json" ? JSON.parse(text).error : text);
  }
  return answer.json();
}

export class Feed {
  constructor(wanted, version) {
    Object.assign(this, { wanted, version, items: [], after: 0, left: Infinity, coming: null });
    this.masks = new Map();
    this.images = new Map();
  }

  // At least so many items, as far as there are any.
  async upTo(count) {
    while (this.items.length < count && this.left > 0) {
      this.coming ??= this.more();
      await this.coming;
    }
  }

  async more() {
    try {
      const { items, after, left } = await ask("items", { ...this.wanted, after: this.after, size: PAGE });
      const known = new Set(this.items.map((each) => each.o));
      this.items.push(...items.filter((each) => !known.has(each.o)));
      Object.assign(this, { after, left: items.length ? left : 0 });
    } finally {
      this.coming = null;
    }
  }

  // Masks of items, each fetched once; item.mask is there afterwards.
  async withMasks(items) {
    const missing = items.filter((each) => !this.masks.has(each.o));
    if (missing.length) {
      const coming = ask("objects", { o: missing.map((each) => each.o).join(",") }).then(({ objects }) => objects);
      missing.forEach((each, index) => this.masks.set(each.o, coming.then((objects) => objects[index])));
      coming.catch(() => missing.forEach((each) => this.masks.delete(each.o)));
    }
    const found = await Promise.all(items.map((each) => this.masks.get(each.o)));
    items.forEach((item, index) => {
      const { mask, segmentation, repaired, points, predicted_iou, evidence, prompt } = found[index];
      item.whole ??= { mask, segmentation, repaired, points, predicted_iou, evidence, prompt };
    });
  }

  cropAddress(item) {
    return `/crop/${this.version}/${item.o}`;
  }

  // The large image of an item: a promise, kept so that the next and the previous ones are there.
  image(item) {
    const address = `/image/${this.version}/${item.image}/${item.frame}`;
    if (!this.images.has(address)) {
      const image = new Image();
      image.src = address;
      this.images.set(address, image.decode().then(() => image, () => null));
      if (this.images.size > 24) this.images.delete(this.images.keys().next().value);
    }
    return this.images.get(address);
  }
}
