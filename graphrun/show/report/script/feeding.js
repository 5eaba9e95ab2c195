// What the page's own steps are given: leaves, the rows of the data set, random numbers.

const decode = (stored) => {
  if (typeof stored !== "object") return Number(stored);
  const [[type, text]] = Object.entries(stored);
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const [size, read] = {
    uint8: [1, (at) => view.getUint8(at)],
    uint16: [2, (at) => view.getUint16(at, true)],
    int32: [4, (at) => view.getInt32(at, true)],
    float32: [4, (at) => view.getFloat32(at, true)],
    float64: [8, (at) => view.getFloat64(at, true)],
  }[type];
  return Float64Array.from({ length: bytes.length / size }, (_, k) => read(k * size));
};

const decodeAll = (stored) => Object.fromEntries(Object.entries(stored ?? {}).map(([key, value]) => [key, decode(value)]));

// Numbers drawn from [0, 1) as graphrun/base/random.py draws them: pcg4d of Jarzynski and Olano (2020).
function uniform(low, high, step, size) {
  const count = Math.ceil(size / 4), drawn = new Float64Array(size);
  const start = (word) => (Math.imul(word, 1664525) + 1013904223) | 0;
  for (let k = 0; k < count; k++) {
    let [x, y, z, w] = [k, step, low, high].map(start);
    for (const isLast of [false, true]) {
      x = (x + Math.imul(y, w)) | 0;
      y = (y + Math.imul(z, x)) | 0;
      z = (z + Math.imul(x, y)) | 0;
      w = (w + Math.imul(y, z)) | 0;
      if (!isLast) [x, y, z, w] = [x, y, z, w].map((word) => word ^ (word >>> 16));
    }
    [x, y, z, w].forEach((word, part) => {
      if (part * count + k < size) drawn[part * count + k] = (word >>> 8) * 2 ** -24;
    });
  }
  return drawn;
}

const feed = model && data.live.rows && { ...data.live.rows, columns: decodeAll(data.live.rows.columns), order: data.live.rows.order && decode(data.live.rows.order) };

// The place of a row in an epoch: as in the run where the page has its order, else drawn anew for each epoch.
function rowAt(position) {
  const { order, count } = feed;
  if (!order) return position % count;
  if (position < order.length) return order[position];
  const epoch = Math.floor(position / count);
  if (feed.epoch !== epoch) {
    const keys = uniform(count, 1, epoch, count);
    feed.own = [...keys.keys()].sort((a, b) => keys[a] - keys[b]);
    feed.epoch = epoch;
  }
  return feed.own[position % count];
}

// The leaves that a step is given anew, by slot.
function fed(step) {
  const given = {};
  if (feed) {
    const places = Array.from({ length: feed.batch }, (_, k) => rowAt(step * feed.batch + k));
    for (const [slot, column] of Object.entries(feed.columns)) {
      const size = column.length / feed.count;
      const batch = new Float64Array(feed.batch * size);
      places.forEach((place, k) => batch.set(column.subarray(place * size, (place + 1) * size), k * size));
      given[slot] = batch;
    }
  }
  for (const [slot, low, high, size] of data.live.noise) {
    const drawn = uniform(low, high, step, size);
    given[slot] = shapeOf(slot).length ? drawn : drawn[0];
  }
  return given;
}

// What a run has at its first step, or has had at its last: leaves by slot, states of the rule by name and slot.
const stateOf = (stored) => ({
  step: stored.step,
  leaves: { ...decodeAll(data.live.leaves), ...decodeAll(stored.leaves) },
  memory: Object.fromEntries(Object.entries(stored.memory).map(([name, slots]) => [name, decodeAll(slots)])),
});

if (model) model.rules = Object.fromEntries(data.live.rules.map((rule, k) => [rule.name, { ...rule, update: model.rules[k] }]));
