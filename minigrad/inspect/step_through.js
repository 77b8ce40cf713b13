// The page of step_through: what a step shows, from the data that step_through.py has written.
const data = JSON.parse($("data").textContent);
const vertices = data.vertices, svg = document.querySelector(".minigrad-graph");
const steps = [...data.forward.map(id => ["f", id]), ...data.backward.map(id => ["v", id])];
let current = 0;

// ---- small helpers ------------------------------------------------------------------------------

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter(child => child !== null && child !== ""));
  return element;
}
const title = id => vertices[id].name || vertices[id].kind;
const link = (id, text) => make("a", {href: `#${hasGradient(id) ? "v" : "f"}${id}`}, text || named(id));
const hasGradient = id => vertices[id].gradient !== undefined;
const named = id => vertices[id].kind === "op" ? `${title(id)} (${id})` : title(id);
const usersOf = id => Object.keys(vertices).filter(user => vertices[user].inputs.some((x, i) =>
  x === Number(id) && !vertices[user].numbers.includes(i)));
const senders = id => data.backward.flatMap(from => vertices[from].sends
  .filter(sent => sent.to === Number(id)).map(sent => ({from, ...sent})));
const short = x => typeof x === "string" ? x : x === 0 ? "0"
  : Math.abs(x) >= 1e5 || Math.abs(x) < 1e-3 ? x.toExponential(2) : String(Number(x.toPrecision(4)));

// ---- tensors ------------------------------------------------------------------------------------

function figure(label, index) {
  const entry = index === null || index === undefined ? null : data.arrays[index];
  const shape = entry ? entry.shape.join(" × ") || "one number" : "not kept by the graph";
  return make("figure", {}, make("figcaption", {}, make("b", {}, label), ` ${shape}`),
    entry ? (entry.values ? numbers(entry) : large(entry)) : "");
}

const tint = (x, peak) => {
  const strength = typeof x === "string" ? 0 : Math.min(1, Math.abs(x) / (peak || 1));
  return `rgba(var(--${x > 0 ? "positive" : "negative"}),${(strength * .38).toFixed(3)})`;
};

function numbers(entry) {
  const {shape, values} = entry, columns = shape.length ? shape[shape.length - 1] : 1;
  const rows = shape.length > 1 ? shape[shape.length - 2] : 1;
  const peak = Math.max(0, ...values.filter(x => typeof x === "number").map(Math.abs));
  if (shape.length < 2) return make("div", {class: "tensor line"}, ...values.map(x =>
    make("span", {style: `background:${tint(x, peak)}`, title: x}, short(x))));
  const box = make("div", {class: "tensor", tabindex: 0, role: "group", "aria-label": "values"});
  for (let first = 0; first < values.length; first += rows * columns) {
    const at = [];
    for (let rest = first / (rows * columns), i = shape.length - 3; i >= 0; i--) {
      at.unshift(rest % shape[i]);
      rest = Math.floor(rest / shape[i]);
    }
    if (at.length && at.length < shape.length) box.append(make("div", {class: "slice"}, `[${at.join(", ")}]`));
    const table = make("table");
    for (let i = 0; i < rows; i++) {
      const row = make("tr");
      for (let j = 0; j < columns; j++) {
        const x = values[first + i * columns + j];
        row.append(make("td", {style: `background:${tint(x, peak)}`, title: x}, short(x)));
      }
      table.append(row);
    }
    box.append(table);
  }
  return box;
}

function large(entry) {
  const [low, high, mean, deviation, norm, zeros, odd] = entry.stats;
  const [count, height, width] = entry.tiles;
  const cells = Uint8Array.from(atob(entry.map), letter => letter.charCodeAt(0));
  const {positive, negative} = colours;
  const zoom = Math.max(1, Math.min(8, Math.floor((count > 1 ? 72 : 230) / Math.max(height, width))));
  const tiles = make("div", {class: "tiles"});
  for (let tile = 0; tile < count; tile++) {
    const canvas = make("canvas", {width, height, role: "img", style:
      `width:${width * zoom}px;height:${height * zoom}px`, "aria-label": "heat map"});
    const context = canvas.getContext("2d"), image = context.createImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      const value = cells[tile * width * height + i], strength = Math.abs(value - 128) / 127;
      const rgb = value >= 128 ? positive : negative;
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = rgb[c];
      image.data[4 * i + 3] = value ? 255 * strength : 0;
    }
    context.putImageData(image, 0, 0);
    canvas.addEventListener("mousemove", event => {
      const j = Math.floor(event.offsetX / zoom), i = Math.floor(event.offsetY / zoom);
      const value = cells[tile * width * height + i * width + j];
      canvas.title = value ? `about ${short((value - 128) / 127 * entry.peak)}` : "none";
    });
    tiles.append(canvas);
  }
  const most = Math.max(...entry.histogram), step = 5;
  const bars = entry.histogram.map((n, i) => n ? `<rect x="${i * step}" y="${56 - 54 * n / most}" `
    + `width="${step - 1}" height="${54 * n / most}"/>` : "").join("");
  const histogram = make("div");
  histogram.innerHTML = `<svg width="${41 * step}" height="58" role="img" aria-label="histogram from `
    + `${short(-entry.extreme)} to ${short(entry.extreme)}"><line x1="0" y1="57" x2="${41 * step}" y2="57"/>`
    + `${bars}</svg>`;
  histogram.append(make("div", {class: "faint"}, `${short(-entry.extreme)} … 0 … ${short(entry.extreme)}`));
  const shown = count > 1 ? `${count} of ${entry.of} maps` : "";
  const means = entry.every > 1 ? `each cell the mean of ${entry.every} × ${entry.every}` : "";
  return make("div", {}, make("div", {class: "large"}, tiles, histogram),
    make("div", {class: "faint"}, [`min ${short(low)}`, `max ${short(high)}`, `mean ${short(mean)}`,
      `std ${short(deviation)}`, `norm ${short(norm)}`, `${short(100 * zeros)}% zeros`,
      odd ? `${odd} NaN or infinite` : "", shown, means].filter(Boolean).join(", ")));
}

// ---- the card of a step -------------------------------------------------------------------------

const called = (name, id) => name === title(id) ? name : `${name} = ${named(id)}`;

function inputsOf(id) {
  const vertex = vertices[id];
  return vertex.inputs.map((x, i) => vertex.numbers.includes(i)
    ? make("figure", {}, make("figcaption", {}, make("b", {}, vertex.names[i]), ` ${short(x)}`))
    : figure(called(vertex.names[i], x), vertices[x].value));
}

function head(id, kicker) {
  const vertex = vertices[id];
  const made = {op: "", parameter: "parameter", input: "input", buffer: "buffer", constant: "constant"};
  const parts = [make("p", {class: "kicker"}, kicker),
    make("h2", {}, title(id), make("small", {}, `  ${vertex.module || made[vertex.kind]}`))];
  if (vertex.says) parts.push(make("p", {}, make("code", {}, vertex.says)));
  if (vertex.line) parts.push(make("p", {class: "faint"}, "In your program: ", make("code", {},
    vertex.code), ` (${vertex.line})`));
  if (vertex.source) parts.push(make("p", {class: "faint"}, `The op is in ${vertex.source}.`));
  return parts;
}

function forwardCard(id) {
  const vertex = vertices[id], place = data.forward.indexOf(Number(id));
  if (vertex.kind !== "op") return [...head(id, "a value that the computation started from"),
    figure(title(id), vertex.value), make("p", {class: "faint"}, "Used by ",
      ...usersOf(id).flatMap((user, i) => [i ? ", " : "", link(user)]), "."),
    hasGradient(id) ? "" : make("p", {class: "note"}, "It does not require grad: no gradient is sent here.")];
  return [...head(id, place < 0 ? "forward" : `forward, step ${place + 1} of ${data.forward.length}`),
    make("h3", {}, "What it is given"), make("div", {class: "row"}, ...inputsOf(id)),
    make("h3", {}, Number(id) === data.loss ? "What it computes: the loss" : "What it computes"), figure("y", vertex.value)];
}

function arrivals(id) {
  const vertex = vertices[id], found = senders(id);
  const symbol = vertex.kind === "op" ? "g = ∂L/∂y" : `∂L/∂${title(id)}`;
  if (Number(id) === data.loss) return [make("h3", {}, "What arrives: g = ∂L/∂L"), make("p", {},
    "The derivative of the loss by itself is 1. The backward pass starts with it."),
    figure("g", vertex.gradient)];
  if (found.length === 1) return [make("h3", {}, `What arrives: ${symbol}`), make("p", {}, "From ",
    link(found[0].from), `, as its ∂L/∂${found[0].name}.`), figure(symbol, vertex.gradient)];
  const terms = found.flatMap((sent, i) => [i ? make("span", {class: "operator"}, "+") : "",
    make("div", {}, figure("", sent.gradient), make("p", {class: "faint"}, "from ", link(sent.from),
      `, ∂L/∂${sent.name}`))]);
  return [make("h3", {}, `What arrives: ${symbol}, ${found.length} gradients that add up`), make("p",
    {class: "note"}, "This value is used in several places. Each of them sends a gradient, and the "
    + "derivative is their sum."), make("div", {class: "row"}, ...terms,
    make("span", {class: "operator"}, "="), figure(symbol, vertex.gradient))];
}

function send(id, sent) {
  const vertex = vertices[id], used = new Set((sent.formula || sent.code).match(/[A-Za-z_]\w*/g) || []);
  const known = vertex.names.map((name, i) => used.has(name) && !vertex.numbers.includes(i)
    ? figure(called(name, vertex.inputs[i]), vertices[vertex.inputs[i]].value)
    : used.has(name) ? figure(`${name} = ${vertex.inputs[i]}`, undefined) : "").filter(Boolean);
  if (used.has("y")) known.unshift(figure("y, the output", vertex.value));
  const others = senders(sent.to).length - 1;
  const parts = [make("h4", {}, `∂L/∂${sent.name}, for `, link(sent.to))];
  if (sent.formula) parts.push(make("div", {class: "formula"}, `∂L/∂${sent.name} = ${sent.formula}`));
  for (const [name, says] of Object.entries(sent.helpers))
    if (says) parts.push(make("p", {class: "faint"}, make("code", {}, name), `: ${says}`));
  if (known.length) parts.push(make("details", {open: ""}, make("summary", {}, "with"),
    make("div", {class: "row"}, ...known)));
  const same = sent.sent === vertex.gradient && !sent.summed;
  if (sent.summed) parts.push(figure("before the sum", sent.sent), make("p", {class: "note"},
    `${sent.name} was broadcast: each of its values was used several times. What arrives for each `
    + `use is added up, over dim ${sent.summed}.`));
  parts.push(same ? make("p", {class: "faint"}, "It passes on unchanged.") : figure(`∂L/∂${sent.name}`, sent.gradient));
  if (others > 0) parts.push(make("p", {class: "note"}, "It is added to ", others === 1
    ? "another gradient that arrives there" : `${others} others that arrive there`, "."));
  if (sent.code) parts.push(make("details", sent.formula ? {} : {open: ""}, make("summary", {},
    `The vjp, ${sent.where}`), make("pre", {}, make("code", {}, sent.code))));
  return parts;
}

function madeOf(id) {
  const rows = [], seen = new Set();
  let at = Number(id), further = 0;
  while (at !== data.loss && !seen.has(at)) {
    seen.add(at);
    const [first, ...rest] = senders(at);
    if (!first) break;
    further += rest.length;
    rows.unshift(make("tr", {}, make("td", {}, link(first.from)), make("td", {},
      `∂L/∂${first.name} = ${first.formula || "see there"}`
      + (first.summed ? `, summed over dim ${first.summed}` : ""))));
    at = first.from;
  }
  if (rows.length < 2) return [];
  return [make("h3", {}, `What ∂L/∂${vertices[id].kind === "op" ? "y" : title(id)} is made of`), make("p", {},
    "From the loss to here, each step takes the result of the one before it as its g, beginning with 1."
    + (further ? ` This is one of several paths: at ${further} ${further === 1 ? "place another gradient is" : "places others are"} added.` : "")),
    make("table", {class: "made"}, make("tbody", {}, ...rows))];
}

function backwardCard(id) {
  const vertex = vertices[id], place = data.backward.indexOf(Number(id));
  const parts = [...head(id, `backward, step ${place + 1} of ${data.backward.length}`), ...arrivals(id)];
  if (vertex.kind === "op") parts.push(make("h3", {}, vertex.sends.length === 1 ? "What it sends on"
    : `What it sends on: ${vertex.sends.length} gradients`), ...vertex.sends.flatMap(sent => send(id, sent)));
  else parts.push(make("p", {}, "The gradient of ", make("b", {}, title(id)),
    " is complete. An optimiser uses it to change the values."), figure(title(id), vertex.value));
  parts.push(...madeOf(id));
  return parts;
}

// ---- going from step to step --------------------------------------------------------------------

function drawn(id) {
  const own = svg.querySelector(`[data-vertex="${id}"]`);
  const element = own || usersOf(id).map(user => svg.querySelector(`[data-vertex="${user}"]`)).find(Boolean);
  return element && (element.closest(".folded") || element);
}

function mark(phase, id) {
  for (const element of svg.querySelectorAll(".current,.flows,.ahead")) element.classList.remove("current", "flows", "ahead");
  if (phase === "f") for (const later of data.forward.slice(data.forward.indexOf(Number(id)) + 1))
    if (data.forward.includes(Number(id))) svg.querySelector(`[data-vertex="${later}"]`)?.classList.add("ahead");
  const ends = phase === "v" ? vertices[id].sends.map(sent => sent.to) : vertices[id].inputs;
  for (const path of svg.edgesTo(Number(id), ends)) path.classList.add("flows");
  const element = drawn(id), pane = document.querySelector(".graph");
  if (!element) return;
  element.classList.add("current");
  const here = element.getBoundingClientRect(), room = pane.getBoundingClientRect();
  if (here.top < room.top + 20 || here.bottom > room.bottom - 20)
    pane.scrollTop += here.top - room.top - room.height / 2 + here.height / 2;
  if (here.left < room.left || here.right > room.right)
    pane.scrollLeft += here.left - room.left - room.width / 2 + here.width / 2;
}

function show(phase, id) {
  const place = steps.findIndex(([p, v]) => p === phase && v === Number(id));
  if (place >= 0) current = place;
  $("slider").value = current;
  const text = `${phase === "f" ? "forward" : "backward"}: ${named(id)}`;
  $("where").textContent = text;
  $("slider").setAttribute("aria-valuetext", text);
  $("back").disabled = current === 0;
  $("on").disabled = current === steps.length - 1;
  $("card").replaceChildren(...(phase === "f" ? forwardCard(id) : backwardCard(id)).filter(Boolean));
  mark(phase, id);
  if (location.protocol !== "about:" && location.hash !== `#${phase}${id}`)   // in a notebook, it has no address
    history.replaceState(null, "", `#${phase}${id}`);
}

const move = by => show(...steps[Math.max(0, Math.min(steps.length - 1, current + by))]);
const follow = () => {
  const [, phase, id] = location.hash.match(/^#([fv])(\d+)$/) || [null, ...steps[0]];
  if (!vertices[id]) return show(...steps[0]);
  show(phase === "v" && !hasGradient(id) ? "f" : phase, id);
  window.scrollTo(0, 0);
};

$("slider").max = steps.length - 1;
$("slider").addEventListener("input", event => show(...steps[event.target.value]));
$("back").addEventListener("click", () => move(-1));
$("on").addEventListener("click", () => move(1));
window.addEventListener("hashchange", follow);
document.addEventListener("keydown", event => {
  if (event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") { event.preventDefault(); $("search").focus(); return; }
  const by = {ArrowRight: 1, ArrowLeft: -1, Home: -steps.length, End: steps.length}[event.key];
  if (by) { event.preventDefault(); move(by); }
});
svg.addEventListener("click", event => {
  const element = event.target.closest("[data-vertex]");
  if (!element || element.closest(".folded")) return;
  const id = element.dataset.vertex;
  show(steps[current][0] === "v" && hasGradient(id) ? "v" : "f", id);
});

const labels = new Map();
for (const id of Object.keys(vertices)) {
  const {module, code} = vertices[id];
  labels.set([named(id), module, code].filter(Boolean).join(" · "), id);
}
$("names").append(...[...labels.keys()].map(value => make("option", {value})));
$("search").addEventListener("input", event => {
  const sought = event.target.value.toLowerCase();
  const found = labels.get(event.target.value)
    || (sought && [...labels].find(([label]) => label.toLowerCase().includes(sought))?.[1]);
  if (found) show(hasGradient(found) ? "v" : "f", found);
});
$("search").addEventListener("keydown", event => {
  if (event.key === "Escape" || event.key === "Enter") event.target.blur();
});
followTheme(() => show(...steps[current]));
follow();
