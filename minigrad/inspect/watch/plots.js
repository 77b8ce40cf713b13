// How numbers are written and plots are drawn.
const SIDE = 82, BINS = 2 * SIDE + 1, LOWEST = -30;     // as in history.py
const say = x => typeof x !== "number" ? (x === null || x === undefined ? "" : String(x))
  : (x && (Math.abs(x) < 1e-3 || Math.abs(x) >= 1e6) ? x.toExponential(1) : String(+x.toPrecision(3))).replace(/-/g, "−");

const LEFT = 46;                    // pixels for the numbers beside a plot
const last = () => Math.max(1, state.step);
const across = (step, w, left) => left + step / last() * (w - left);

function follow(canvas, left) {     // the mouse over a plot points at a step
  canvas.onpointermove = event => {
    const w = canvas.clientWidth;
    cursor = Math.max(0, Math.min(last(), (event.offsetX - left) / (w - left) * last()));
    draw();
  };
  canvas.onpointerleave = () => { cursor = null; draw(); };
}

function drawCursor(context, w, h, left) {
  if (cursor === null) return;
  const x = across(cursor, w, left);
  context.strokeStyle = colours.warm; context.lineWidth = 1;
  context.beginPath(); context.moveTo(x, 0); context.lineTo(x, h); context.stroke();
}

// ---- curves --------------------------------------------------------------------------------------
// Each is [steps, values]. On a logarithmic scale if all are positive and they differ by far.
function drawCurves(canvas, curves, band) {
  const [context, w, h] = fitted(canvas);
  const finite = curves.flatMap(([, values]) => values).filter(Number.isFinite);
  if (!finite.length) return drawCursor(context, w, h, LEFT);
  let low = Math.min(...finite), high = Math.max(...finite);
  const log = !!band || (low > 0 && high / low > 50);
  const scale = log ? x => Math.log10(Math.max(x, 1e-12)) : x => x;
  if (band) { low = Math.min(Math.max(low, 1e-9), band / 10); high = Math.max(high, band * 10); }
  [low, high] = [scale(low), scale(high)];
  if (!log && low > 0 && low < 0.5 * high) low = 0;
  if (high - low < 1e-9) { low -= Math.abs(low) / 10 + 1e-9; high += Math.abs(high) / 10 + 1e-9; }
  const up = x => h - 7 - (scale(x) - low) / (high - low) * (h - 14);
  const marks = !log ? [0, 0.5, 1].map(share => low + share * (high - low))
    : Array.from({length: Math.floor(high) - Math.ceil(low) + 1}, (_, i) => Math.ceil(low) + i);
  const every = Math.ceil(marks.length / 5);
  context.strokeStyle = colours.rule; context.fillStyle = colours.faint; context.lineWidth = 1;
  for (const mark of (log && marks.length < 2 ? [low, high] : marks).filter((_, i) => i % every === 0)) {
    const value = log ? 10 ** mark : mark, y = up(value);
    context.beginPath(); context.moveTo(LEFT, y); context.lineTo(w, y); context.stroke();
    context.fillText(say(value), 0, y);
  }
  if (band) {
    context.strokeStyle = colours.warm; context.setLineDash([4, 3]);
    context.beginPath(); context.moveTo(LEFT, up(band)); context.lineTo(w, up(band)); context.stroke();
    context.setLineDash([]);
  }
  curves.forEach(([steps, values], i) => {
    const isChosen = curves.length === 1 || curves[i][2];
    context.beginPath();
    let drawing = false;
    steps.forEach((step, j) => {
      if (!Number.isFinite(values[j])) { drawing = false; return; }
      const x = across(step, w, LEFT), y = up(values[j]);
      if (drawing) context.lineTo(x, y); else context.moveTo(x, y);
      if (steps.length === 1) context.arc(x, y, 2, 0, 7);
      drawing = true;
    });
    context.strokeStyle = isChosen ? colours.ink : colours.accent;
    context.globalAlpha = isChosen ? 1 : 0.45;
    context.lineWidth = isChosen ? 1.7 : 1.2;
    context.stroke();
    context.globalAlpha = 1;
  });
  drawCursor(context, w, h, LEFT);
}

// ---- histograms over time ------------------------------------------------------------------------
// A histogram is [first bin, heights, root mean square, share of zeros, how many are not finite].
const decoded = new Map();

function heights(text) {
  if (!decoded.has(text)) {
    if (decoded.size > 20000) decoded.clear();
    decoded.set(text, Uint8Array.from(atob(text), c => c.charCodeAt(0)));
  }
  return decoded.get(text);
}

const middle = bin => {             // the value that a bin stands for
  const k = Math.abs(bin - SIDE) - 1;
  return k < 0 ? 0 : Math.sign(bin - SIDE) * 2 ** (LOWEST + Math.floor(k / 2)) * (k % 2 ? 1.75 : 1.25);
};

function drawHistograms(canvas, histograms, left) {
  const [context, w, h] = fitted(canvas);
  const steps = records.map(record => record.step);
  let low = BINS, high = -1;
  for (const histogram of histograms) if (histogram) {
    low = Math.min(low, histogram[0]);
    high = Math.max(high, histogram[0] + heights(histogram[1]).length - 1);
  }
  if (high < 0) return;
  // bins near zero that hold next to nothing are left out: the picture begins where a bin is full enough
  const weight = new Float64Array(BINS);
  for (const histogram of histograms) if (histogram) heights(histogram[1]).forEach((x, i) => {
    weight[histogram[0] + i] = Math.max(weight[histogram[0] + i], x);
  });
  const full = 0.15 * Math.max(...weight.filter((_, bin) => bin !== SIDE));
  const isFull = bin => weight[bin] > 0 && weight[bin] >= full;
  let inner = SIDE;                 // half-octaves from zero up to the first that is full
  for (let k = 1; k <= SIDE; k++) if (isFull(SIDE + k) || isFull(SIDE - k)) { inner = k; break; }
  const shown = [];                 // the bins from top to bottom
  for (let bin = high; bin >= low; bin--)
    if (bin === SIDE || Math.abs(bin - SIDE) >= inner) shown.push(bin);
  if (low > SIDE) shown.push(SIDE);
  if (high < SIDE) shown.unshift(SIDE);
  const image = new ImageData(Math.max(1, Math.round(w - left)), shown.length), wide = image.width;
  const pixels = new Uint32Array(image.data.buffer), [red, green, blue] = colours.negative;
  let record = 0;
  for (let x = 0; x < wide; x++) {
    const step = (x + 1) / wide * last();
    while (record + 1 < steps.length && steps[record + 1] <= step) record++;
    const histogram = steps[record] <= step + last() / wide ? histograms[record] : null;
    if (!histogram) continue;
    const values = heights(histogram[1]);
    shown.forEach((bin, y) => {
      const value = values[bin - histogram[0]];
      if (value) pixels[y * wide + x] = value << 24 | blue << 16 | green << 8 | red;
    });
  }
  small.width = wide; small.height = shown.length;
  small.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, left, 0, w - left, h);
  const zero = (shown.indexOf(SIDE) + 0.5) / shown.length * h;
  context.strokeStyle = colours.faint; context.lineWidth = 0.8; context.globalAlpha = 0.6;
  context.beginPath(); context.moveTo(left, zero); context.lineTo(w, zero); context.stroke();
  context.globalAlpha = 1;
  if (left) {
    context.fillStyle = colours.faint;
    const rows = [0, shown.length - 1, shown.indexOf(SIDE), Math.floor(shown.indexOf(SIDE) / 2),
      Math.floor((shown.indexOf(SIDE) + shown.length) / 2)];
    const taken = [];
    for (const row of rows) {
      const y = Math.max(6, Math.min(h - 6, (row + 0.5) / shown.length * h));
      if (row < 0 || row >= shown.length || taken.some(other => Math.abs(other - y) < 12)) continue;
      taken.push(y);
      context.fillText(say(middle(shown[row])), 0, y);
    }
  }
  drawCursor(context, w, h, left);
}
const small = document.createElement("canvas");


// ---- pictures of layers ---------------------------------------------------------------------------
function tilesOf(picture) {         // each as [height, width, cells from −1 to 1]; and what ±1 stands for
  if (picture.values) {
    const shape = picture.shape.filter((n, i, all) => n > 1 || i >= all.length - 2);
    const wide = shape.at(-1) || 1, high = shape.at(-2) || 1;
    const values = picture.values.map(x => Number.isFinite(x) ? x : 0);
    const peak = Math.max(0, ...values.map(Math.abs));
    return [Array.from({length: values.length / (wide * high) || 0}, (_, i) =>
      [high, wide, values.slice(i * wide * high, (i + 1) * wide * high).map(x => x / (peak || 1))]), peak];
  }
  const [count, high, wide] = picture.tiles, cells = [...atob(picture.map)].map(c => (c.charCodeAt(0) || 128) / 127 - 128 / 127);
  return [Array.from({length: count}, (_, i) => [high, wide, cells.slice(i * high * wide, (i + 1) * high * wide)]), picture.peak];
}
