// The same as place.py, so that boxes can be folded and unfolded in the drawing itself.
(() => {
const GAP = 26, ROW = 40, SIDE = 16, HEAD = 30, STRAIGHT = 13, SWEEPS = 6;
const svg = document.currentScript.closest("svg");

for (const box of boxes) {
  box.items = box.items.map(([kind, w, h, label, ref]) => ({kind, w, h, label, ref, x: 0, y: 0,
    box: kind === "box" ? boxes[ref] : null}));
  box.rows = box.rows.map(row => row.map(i => box.items[i]));
  for (const item of box.items) item.above = [], item.below = [];
  box.links = box.links.map(([a, b, i, n, j, m, out, into, tensor]) => ({a: box.items[a], b: box.items[b],
    leave: (i + 1) / (n + 1) - .5, enter: (j + 1) / (m + 1) - .5, out, into, tensor}));
  for (const link of box.links) link.b.above.push(link), link.a.below.push(link);
}

const along = (item, place, port) => item.box && item.box.open
  ? item.box.items[port].x - item.w / 2 : item.w * place;
const leaves = link => along(link.a, link.leave, link.out);
const enters = link => along(link.b, link.enter, link.into);

function place(box) {
  if (!box.open) return box.size;
  for (const item of box.items) if (item.box) [item.w, item.h] = place(item.box);
  let y = box.root ? SIDE : HEAD;
  box.rows.forEach((row, i) => {
    const height = Math.max(...row.filter(item => item.kind !== "bend").map(item => item.h));
    const ports = row[0].kind === "in" || row[0].kind === "out";
    for (const item of row) {
      if (item.kind === "bend") item.h = height;
      item.y = item.kind === "in" ? 0 : y + (height - item.h) / 2;
    }
    y += height + (i + 1 < box.rows.length && !(ports && i === 0) ? ROW : 0);
  });
  setColumns(box);
  const left = Math.min(...box.items.map(item => item.x - item.w / 2)) - SIDE;
  const right = Math.max(...box.items.map(item => item.x + Math.max(item.w / 2, item.label))) + SIDE;
  const width = Math.max(right - left, box.size[0]);
  const shift = (width - (right - left)) / 2 - left;
  for (const item of box.items) item.x += shift;
  const last = box.rows[box.rows.length - 1];
  const height = last[0].kind === "out" ? y : y + SIDE;
  for (const item of last) if (item.kind === "out") item.y = height;
  return [width, height];
}

function setColumns(box) {
  for (const item of box.items) item.x = 0;
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const down = sweep % 2 === 0;
    for (const row of down ? box.rows : [...box.rows].reverse()) {
      const wanted = row.map(item => {
        const ends = (down ? item.above : item.below).map(link => down
          ? link.a.x + leaves(link) - enters(link) : link.b.x + enters(link) - leaves(link));
        return ends.length ? ends.reduce((sum, x) => sum + x) / ends.length : item.x;
      });
      spread(row, wanted).forEach((x, i) => { row[i].x = x; });
    }
  }
}

function spread(row, wanted) {
  const offsets = [0];
  for (let i = 1; i < row.length; i++)
    offsets.push(offsets[i - 1] + Math.max(row[i - 1].w / 2, row[i - 1].label) + GAP + row[i].w / 2);
  const blocks = [];
  wanted.forEach((x, i) => {
    let mean = x - offsets[i], count = 1;
    while (blocks.length && blocks[blocks.length - 1][0] > mean) {
      const [other, others] = blocks.pop();
      mean = (mean * count + other * others) / (count + others);
      count += others;
    }
    blocks.push([mean, count]);
  });
  return blocks.flatMap(([mean, count]) => Array(count).fill(mean)).map((x, i) => x + offsets[i]);
}

boxes.forEach((box, number) => {
  const element = number ? svg.querySelector(`[data-box="${number}"] > .content`) : svg;
  const own = element.querySelector(":scope > .links");
  own.querySelectorAll("[data-tensor]").forEach((path, i) => { box.links[i].path = path; });
  own.querySelectorAll("[data-bend]").forEach(path => { box.items[path.dataset.bend].path = path; });
  for (const item of box.items) if (item.box) item.box.parent = box, item.box.item = item;
});

// ---- what is on the screen ----------------------------------------------------------------------

function show(box, element) {
  const own = [...element.children].find(child => child.classList.contains("links"));
  own.querySelectorAll("path[data-tensor]").forEach((path, i) => {
    const {a, b} = box.links[i];
    const x1 = a.x + leaves(box.links[i]), y1 = a.y + a.h, x2 = b.x + enters(box.links[i]), y2 = b.y;
    const start = Math.min(y1 + STRAIGHT, y2), middle = (start + y2) / 2;
    path.setAttribute("d", `M${x1} ${y1}V${start}C${x1} ${middle} ${x2} ${middle} ${x2} ${y2}`);
    path.classList.toggle("arrow", b.kind === "vertex" || (b.box !== null && !b.box.open));
  });
  own.querySelectorAll("path[data-bend]").forEach(path => {
    const item = box.items[path.dataset.bend];
    path.setAttribute("d", `M${item.x} ${item.y}v${item.h}`);
  });
  for (const item of box.items) {
    if (item.kind !== "vertex" && item.kind !== "box") continue;
    const g = element.querySelector(`:scope > [data-${item.kind}="${item.ref}"]`);
    g.setAttribute("transform", `translate(${item.x - item.w / 2} ${item.y})`);
    if (!item.box) continue;
    const [rect, content] = g.children;
    rect.setAttribute("width", item.w);
    rect.setAttribute("height", item.h);
    g.classList.toggle("open", item.box.open);
    g.classList.toggle("folded", !item.box.open);
    g.querySelector(":scope > .head").setAttribute("aria-expanded", item.box.open);
    const ends = new Map(item.below.map(link => [link.out, link]));
    g.querySelectorAll(":scope > .out > text").forEach((text, i) => {
      text.setAttribute("x", item.w / 2 + item.w * [...ends.values()][i].leave + 6);
      text.setAttribute("y", item.h + 14);
    });
    if (item.box.open) show(item.box, content);
  }
}

function update() {
  const [width, height] = place(boxes[0]);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  show(boxes[0], svg);
}

function toggle(head) {
  const box = boxes[head.closest("[data-box]").dataset.box];
  box.open = !box.open;
  update();
  head.focus();
}

svg.addEventListener("click", event => {
  const head = event.target.closest(".head") || event.target.closest(".folded")?.querySelector(".head");
  if (head) toggle(head);
});
svg.addEventListener("keydown", event => {
  if (event.target.matches(".head") && (event.key === "Enter" || event.key === " ")) {
    event.preventDefault();
    toggle(event.target);
  }
});
// The lines of all edges that lead to a vertex from one of the vertices that are named.
svg.edgesTo = (vertex, from) => {
  const home = boxes.find(box => box.items.some(item => item.kind === "vertex" && item.ref === vertex));
  const found = [];
  const follow = (box, item, tensor) => {
    for (const link of item.above) {
      if (tensor === null ? !from.includes(link.tensor) : link.tensor !== tensor) continue;
      found.push(link.path);
      if (link.a.path) found.push(link.a.path);
      if (link.a.box) follow(link.a.box, link.a.box.items[link.out], link.tensor);
      else if (link.a.kind === "in") follow(box.parent, box.item, link.tensor);
      else if (link.a.kind === "bend") follow(box, link.a, link.tensor);
    }
  };
  if (home) follow(home, home.items.find(item => item.kind === "vertex" && item.ref === vertex), null);
  return found;
};
})();
