// The spectrum plot of the Latents page: decoded curve, ghost of the start, difference, line markers; SVG, no library.

const SVG_SPACE = "http://www.w3.org/2000/svg";
const MARGIN = { left: 56, right: 12, top: 34, bottom: 40, between: 16 };
const MAIN_SHARE = 0.73;  // of the height of both panels
const ROW = 13;  // height of a row of line names
const CHARACTER = 5.4;  // width of a character of 11 px

function svgElement(parent, tag, attributes = {}) {
  const made = document.createElementNS(SVG_SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent.append(made);
  return made;
}

function ticks(low, high, wanted) {
  const raw = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(raw)), lead = raw / power;
  const step = (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10) * power;
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), found = [];
  for (let k = Math.ceil(low / step); k * step <= high + 1e-9 * step; k++) found.push([k * step, signed(k * step, digits)]);
  return found;
}

// A number with a real minus sign; "+" before positive ones if asked for; "-0.0" is "0.0".
function signed(value, digits, plus = false) {
  const text = Math.abs(value).toFixed(digits), isZero = Number(text) === 0;
  return (value < 0 && !isZero ? "−" : plus && !isZero ? "+" : "") + text;
}

// What moves lies in an SVG of its own above what stands: a frame repaints two curves, not grid, names and dashes.
function makePlot(host) {
  const layer = (name) => svgElement(host, "svg", { class: name, "aria-hidden": "true" });
  const svg = layer("still"), moving = layer("moving");
  const group = (name) => svgElement(svg, "g", { class: name });
  const path = (name, parent = svg) => svgElement(parent, "path", { class: name });
  const clip = svgElement(svgElement(svg, "defs"), "clipPath", { id: "main" });
  const clipRect = svgElement(clip, "rect");
  const grid = path("grid"), frame = path("frame"), marks = group("marks");
  const mark = svgElement(svg, "text");
  const ghost = path("ghost", svgElement(svg, "g", { "clip-path": "url(#main)" }));
  const zero = path("zero"), labels = group("labels");
  const decoded = path("decoded", moving), difference = path("difference", moving), cursor = path("cursor", moving);
  let at = null;  // the layout: scales and what they were made for

  function layout(scene, main, span) {
    const width = svg.clientWidth, height = svg.clientHeight;
    const inner = height - MARGIN.top - MARGIN.bottom - MARGIN.between, mainHeight = Math.round(MAIN_SHARE * inner);
    const [low, high] = scene.window, { wave } = scene;
    const first = Math.max(wave.findIndex((value) => value >= low) - 1, 0);
    const after = wave.findIndex((value) => value > high), end = after < 0 ? wave.length : Math.min(after + 1, wave.length);
    const perAngstrom = (width - MARGIN.left - MARGIN.right) / (high - low);
    const box = { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: MARGIN.top + mainHeight };
    const lower = { top: box.bottom + MARGIN.between, bottom: height - MARGIN.bottom };
    const x = (value) => box.left + (value - low) * perAngstrom;
    const xs = new Array(end);  // written once for all curves
    for (let i = first; i < end; i++) xs[i] = `${Math.round(10 * x(wave[i])) / 10},`;
    return { width, height, low, high, first, end, box, lower, x, xs, main, span, perAngstrom,
      y: (value) => box.bottom - (value - main[0]) / (main[1] - main[0]) * mainHeight,
      d: (value) => (lower.top + lower.bottom) / 2 - value / span * (lower.bottom - lower.top) / 2 };
  }

  function line(values, offset, scale) {  // y = offset + scale * value
    const { xs, first, end } = at;
    let text = "M";
    for (let i = first; i < end; i++) text += xs[i] + Math.round(10 * (offset + scale * values[i])) / 10 + " ";
    return text;
  }

  function axes(scene) {
    const { box, lower, low, high } = at;
    let lines = "", text = "";
    const label = (x, y, anchor, value, kind = "") => {
      text += `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" class="${kind}">${value}</text>`;
    };
    for (const [value, name] of ticks(low, high, (box.right - box.left) / 90)) {
      const x = Math.round(at.x(value)) + 0.5;
      lines += `M${x},${box.top}V${box.bottom}M${x},${lower.top}V${lower.bottom}`;
      label(x, lower.bottom + 15, "middle", name);
    }
    for (const [value, name] of ticks(at.main[0], at.main[1], (box.bottom - box.top) / 45)) {
      lines += `M${box.left},${Math.round(at.y(value)) + 0.5}H${box.right}`;
      label(box.left - 6, at.y(value) + 4, "end", name);
    }
    for (const [value, name] of ticks(-at.span, at.span, 4)) {
      if (Math.abs(value) > 0.9 * at.span) continue;
      lines += `M${box.left},${Math.round(at.d(value)) + 0.5}H${box.right}`;
      label(box.left - 6, at.d(value) + 4, "end", name);
    }
    label((box.left + box.right) / 2, lower.bottom + 33, "middle", "Rest-frame wavelength, vacuum [Å]", "title");
    const turned = (y, value) => `<text class="title" text-anchor="middle" transform="translate(13,${y}) rotate(-90)">${value}</text>`;
    text += turned((box.top + box.bottom) / 2, "F<tspan dy='3' font-size='9'>λ</tspan><tspan dy='-3'> / median(4200–6700 Å)</tspan>");
    text += turned((lower.top + lower.bottom) / 2, "difference");
    grid.setAttribute("d", lines);
    labels.innerHTML = text;
    frame.setAttribute("d", `M${box.left},${box.top}V${box.bottom}H${box.right}M${box.left},${lower.top}V${lower.bottom}H${box.right}`);
    zero.setAttribute("d", `M${box.left},${at.d(0)}H${box.right}`);
    for (const [name, value] of [["x", box.left], ["y", box.top - 2], ["width", box.right - box.left], ["height", box.bottom - box.top + 4]]) {
      clipRect.setAttribute(name, value);
    }
    const isLarge = scene.source === "SIMULATED";  // as on the plots of the server: a small word for real data
    mark.textContent = scene.source;
    mark.setAttribute("class", isLarge ? "watermark" : "source");
    mark.setAttribute("text-anchor", isLarge ? "middle" : "end");
    mark.setAttribute("x", isLarge ? (box.left + box.right) / 2 : box.right);
    mark.setAttribute("y", isLarge ? box.top + 0.62 * (box.bottom - box.top) : lower.bottom + 33);
    ghost.setAttribute("d", line(scene.ghost, at.y(0), at.y(1) - at.y(0)));
  }

  // Names of lines in two rows, emission above the plot, absorption at its foot; one that fits nowhere is not written.
  function lineMarks(scene) {
    const { box, lower } = at;
    let marked = "";
    for (const isAbsorption of [false, true]) {
      const free = [-Infinity, -Infinity];
      const inside = scene.lines.filter((item) => item.absorption === isAbsorption && item.wave > at.low && item.wave < at.high);
      const groups = [];
      for (const item of inside) {
        const last = groups.at(-1);
        const isNear = last && last.label === item.label && (item.wave - last.waves.at(-1)) * at.perAngstrom < 40;
        if (isNear) last.waves.push(item.wave);
        else groups.push({ label: item.label, waves: [item.wave] });
        const x = at.x(item.wave).toFixed(1);
        const foot = box.bottom - (isAbsorption ? 2 * ROW + 4 : 0);  // the names of absorption lines stand below it
        marked += `<path class="${isAbsorption ? "absorption" : "emission"}" d="M${x},${box.top}V${foot}M${x},${lower.top}V${lower.bottom}"/>`;
      }
      for (const { label, waves } of groups) {
        const centre = at.x(waves.reduce((sum, wave) => sum + wave, 0) / waves.length), half = label.length * CHARACTER / 2;
        const row = free.findIndex((edge) => centre - half >= edge);
        if (row < 0) continue;
        free[row] = centre + half + 4;
        const y = isAbsorption ? box.bottom - 5 - row * ROW : box.top - 4 - row * ROW;
        marked += `<text x="${centre.toFixed(1)}" y="${y}" text-anchor="middle">${label}</text>`;
      }
    }
    marks.innerHTML = marked;
  }

  function extent(scene, flux) {
    const [low, high] = scene.window;
    let least = 0, most = 0, span = 0;
    for (let i = 0; i < flux.length; i++) {
      if (scene.wave[i] < low || scene.wave[i] > high) continue;
      least = Math.min(least, flux[i], scene.ghost[i]);
      most = Math.max(most, flux[i], scene.ghost[i]);
      span = Math.max(span, Math.abs(flux[i] - scene.ghost[i]));
    }
    return [least, most, span];
  }

  // While a slider moves the axes only grow, in steps, so that few frames redraw them; `isFresh` fits them anew.
  function draw(scene, flux, isFresh) {
    if (!svg.clientWidth) return;
    const [least, most, span] = extent(scene, flux);
    const isOutside = at && (least < at.main[0] || most > at.main[1] || span > at.span);
    if (isFresh || isOutside || !at || at.width !== svg.clientWidth || at.height !== svg.clientHeight) {
      const room = isFresh || !at ? 0.08 : 0.25, height = most - least || 1;
      const main = [least < 0 ? least - room * height : 0, most + room * height];
      at = layout(scene, main, Math.max(0.1, (1 + 2 * room) * span));
      axes(scene);
      lineMarks(scene);
    }
    decoded.setAttribute("d", line(flux, at.y(0), at.y(1) - at.y(0)));
    const unit = at.d(1) - at.d(0), excess = draw.excess ??= new Float32Array(flux.length);
    for (let i = at.first; i < at.end; i++) excess[i] = flux[i] - scene.ghost[i];
    difference.setAttribute("d", line(excess, at.d(0), unit));
  }

  return {
    draw,
    // Index of the pixel under the pointer, or -1; draws a line there.
    pixelAt(event, scene) {
      const x = event.clientX - svg.getBoundingClientRect().left;
      if (!at || x < at.box.left || x > at.box.right) {
        cursor.setAttribute("d", "");
        return -1;
      }
      const wanted = at.low + (x - at.box.left) / at.perAngstrom;
      let index = at.first;
      while (index < at.end - 1 && Math.abs(scene.wave[index + 1] - wanted) <= Math.abs(scene.wave[index] - wanted)) index++;
      const place = at.x(scene.wave[index]).toFixed(1);
      cursor.setAttribute("d", `M${place},${at.box.top}V${at.box.bottom}M${place},${at.lower.top}V${at.lower.bottom}`);
      return index;
    },
    leave: () => cursor.setAttribute("d", ""),
    outside: (isOutside) => decoded.classList.toggle("outside", isOutside),
  };
}
