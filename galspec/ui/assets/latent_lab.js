// Sliders, readouts and moves of the Latents page. While anything moves nothing is sent to the server; what is let go
// of is sent once. The model comes from latent_model.js, the plot from latent_plot.js.

const shared = (globalThis.galspecLatents ??= { models: new Map(), events: new EventTarget(), latent: null });
const KEY_STEP = 0.05, BIG_STEP = 0.5, SWEEP_LIMIT = 3, SWEEP_SECONDS = 8, REPORT_AFTER_MS = 60, KEY_REPORT_AFTER_MS = 350;
const READ_EVERY_MS = 60;  // numbers that change faster cannot be read
const BPT_X = [-1.6, 0.8], BPT_Y = [-1.3, 1.4];
const laboratories = new WeakMap();

function element(parent, tag, attributes = {}, text = "") {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  parent.append(made);
  return made;
}

function kauffmann(n2) { return n2 < 0.05 ? 0.61 / (n2 - 0.05) + 1.3 : -Infinity; }
function kewley(n2) { return n2 < 0.47 ? 0.61 / (n2 - 0.47) + 1.19 : -Infinity; }

function bptWord({ ew, n2, o3 }) {
  if (!(ew >= 1.5) || !Number.isFinite(n2) || !Number.isFinite(o3)) return "no lines to classify";
  return o3 < kauffmann(n2) ? "star-forming" : o3 < kewley(n2) ? "composite" : "AGN";
}

function makeBpt(svg) {
  const left = 20, width = 186, height = 100, x = (v) => left + (v - BPT_X[0]) / (BPT_X[1] - BPT_X[0]) * (width - left);
  const y = (v) => height - (v - BPT_Y[0]) / (BPT_Y[1] - BPT_Y[0]) * height;
  svgElement(svg, "path", { class: "frame", d: `M${left},0V${height}H${width}` });
  const write = (text, attributes) => { svgElement(svg, "text", attributes).textContent = text; };
  write("log [N II]/Hα", { x: (left + width) / 2, y: height + 14, "text-anchor": "middle" });
  write("log [O III]/Hβ", { transform: `translate(13,${height / 2}) rotate(-90)`, "text-anchor": "middle" });
  write("SF", { x: x(-1.45), y: y(-1.1), class: "region" });
  write("AGN", { x: width - 32, y: y(1.0), class: "region" });
  const source = svgElement(svg, "text", { x: left + 4, y: 10, class: "source" });  // above both curves
  for (const [curve, name] of [[kauffmann, "kauffmann"], [kewley, "kewley"]]) {
    let path = "";
    for (let v = BPT_X[0]; v < BPT_X[1]; v += 0.02) if (curve(v) > BPT_Y[0]) path += `${path ? "L" : "M"}${x(v).toFixed(1)},${y(curve(v)).toFixed(1)}`;
    svgElement(svg, "path", { class: name, d: path });
  }
  const start = svgElement(svg, "rect", { class: "start", width: 7, height: 7 }), now = svgElement(svg, "circle", { class: "now", r: 4.5 });
  const place = (mark, { n2, o3 }, names, offset) => {
    const isThere = Number.isFinite(n2) && Number.isFinite(o3);
    mark.style.display = isThere ? "" : "none";
    if (!isThere) return;
    mark.setAttribute(names[0], Math.min(Math.max(x(n2), left + 4), width - 4) - offset);
    mark.setAttribute(names[1], Math.min(Math.max(y(o3), 4), height - 4) - offset);
  };
  return { start: (values) => place(start, values, ["x", "y"], 3.5), now: (values) => place(now, values, ["cx", "cy"], 0),
    source: (word) => { source.textContent = word; } };
}

function frameOf(root) {
  root.innerHTML = `
    <div class="controls">
      <div class="sliders"></div>
      <div class="buttons"><button class="reset" type="button">Back to start</button><button class="zero" type="button">All to 0</button></div>
      <div class="sweep"><label>Traverse <select aria-label="latent to traverse"></select></label>
        <button class="play" type="button" aria-pressed="false">Play</button><span class="note"></span></div>
      <div class="between"><img class="from" alt=""><label><span></span><input type="range" min="0" max="1" step="0.005" value="0"></label><img class="to" alt=""></div>
    </div>
    <div class="view">
      <div class="top"><div class="windows" role="group" aria-label="Wavelength window"></div>
        <div class="key"><span class="decoded">decoded from the sliders</span><span class="ghost"></span></div></div>
      <div class="plot" role="img"></div>
      <div class="pointer"></div>
      <div class="readouts">
        <div class="density"><div class="bar"><i class="fill"></i><i class="limit"></i></div><p></p></div>
        <table><thead><tr><th scope="col">of this curve</th><th scope="col">now</th><th scope="col">start</th></tr></thead><tbody></tbody></table>
        <svg class="bpt" role="img"></svg>
      </div>
      <span class="heard" role="status"></span>
    </div>`;
  const find = (name) => root.querySelector(name);
  return { find, sliders: find(".sliders"), plot: find(".plot"), status: find(".density p"), fill: find(".fill"), bar: find(".bar"),
    pointer: find(".pointer"), play: find(".play"), select: find(".sweep select"), note: find(".sweep .note"),
    windows: find(".windows"), between: find(".between"), mix: find(".between input"), rows: find("tbody") };
}

function makeLaboratory(root, send) {
  const ui = frameOf(root), plot = makePlot(ui.plot), bpt = makeBpt(root.querySelector(".bpt"));
  const isCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
  const lab = { frames: 0, drawMs: [] };
  let data = null, latent = null, scene = null, model = null, startValues = null;
  let isPlanned = false, isFresh = true, timer = 0, readTimer = 0, readAt = 0, sweep = null, windowKey = "full";
  const rows = [["EW(Hα)", "Å", (v) => signed(v.ew, 1)], ["Dn4000", "", (v) => signed(v.dn4000, 3)],
    ["log [N II]/Hα", "", (v) => signed(v.n2, 2, true)], ["log [O III]/Hβ", "", (v) => signed(v.o3, 2, true)], ["BPT class", "", bptWord]]
    .map(([name, unit, write]) => {
      const row = element(ui.rows, "tr");
      element(row, "th", { scope: "row" }, unit ? `${name} [${unit}]` : name);
      return { write, now: element(row, "td", { class: "now" }), start: element(row, "td") };
    });
  const textOf = (write, values) => { const text = write(values); return text.includes("NaN") ? "not defined" : text; };

  function frame() {
    isPlanned = false;
    const began = performance.now();
    const flux = lab.flux = model.decode(latent);
    lab.decodeMs = performance.now() - began;
    plot.draw(scene, flux, isFresh);
    if (isFresh || began - readAt > READ_EVERY_MS) {
      readAt = began;
      readouts();
    } else {
      clearTimeout(readTimer);
      readTimer = setTimeout(readouts, READ_EVERY_MS);
    }
    isFresh = false;
    lab.drawMs.push(performance.now() - began);
    if (lab.drawMs.length > 2000) lab.drawMs.splice(0, 1000);
    root.dataset.frames = ++lab.frames;
    root.dataset.ready = data.token;
    shared.latent = latent;
    shared.events.dispatchEvent(new Event("latent"));
  }

  function plan() {
    if (isPlanned || !model || !scene) return;
    isPlanned = true;
    requestAnimationFrame(frame);
  }

  function readouts() {
    clearTimeout(readTimer);
    const values = lab.values = model.measure(lab.flux);
    for (const row of rows) row.now.textContent = textOf(row.write, values);
    bpt.now(values);
    if (!model.density) return;
    const { percentile } = lab.density = model.density(latent), isOutside = percentile > data.outside;
    plot.outside(isOutside);
    ui.bar.classList.toggle("outside", isOutside);
    ui.fill.style.width = `${percentile}%`;
    const text = isOutside
      ? `⚠ Outside the training data: more isolated than ${percentile >= 100 ? "every one" : `${percentile.toFixed(1)} %`} of ${data.density}. The dashed curve is an extrapolation.`
      : `More isolated than ${percentile.toFixed(0)} % of ${data.density}.`;
    if (ui.status.textContent !== text) ui.status.textContent = text;
  }

  // Fit the axes, describe the plot, and tell the server, once.
  function report(wait = REPORT_AFTER_MS) {
    clearTimeout(timer);
    timer = setTimeout(() => {
      isFresh = true;
      plan();
      const values = Array.from(latent, (value) => Number(value.toFixed(4)));
      const text = JSON.stringify(values);
      if (text !== lab.sent) send({ token: data.token, latent: values });
      lab.sent = text;
      describe();
    }, wait);
  }

  // For readers who do not see the page; at rest only, or every frame would be read out.
  function describe() {
    ui.find(".heard").textContent = ui.bar.classList.contains("outside") ? ui.status.textContent : "";
    const names = data.latents.map(({ name }, i) => `${name} ${signed(latent[i], 2, true)}`).join(", ");
    const values = lab.values ? ` EW(Hα) ${textOf(rows[0].write, lab.values)} angstrom, Dn4000 ${textOf(rows[1].write, lab.values)}.` : "";
    ui.plot.setAttribute("aria-label", `Spectrum decoded from ${names}, over that of ${data.start_label}; below it their difference.${values}`);
    root.querySelector(".bpt").setAttribute("aria-label", lab.values ? `BPT position: ${bptWord(lab.values)}` : "BPT position");
  }

  function showOne({ slide, box }, i) {
    slide.value = latent[i];
    slide.setAttribute("aria-valuetext", `${signed(latent[i], 2, true)} standard deviations`);
    if (box.getRootNode().activeElement !== box) box.value = latent[i].toFixed(2);
  }

  function show() { lab.inputs?.forEach(showOne); }

  function move(index, value) {
    latent[index] = Math.min(Math.max(value, -data.limit), data.limit);
    showOne(lab.inputs[index], index);
    plan();
  }

  function moveAll(values) {
    latent.set(values);
    show();
    plan();
  }

  function slider(item, index) {
    const row = element(ui.sliders, "div", { class: "row" });
    const name = element(row, "div", { class: "name" });
    element(name, "b", {}, item.name);
    element(name, "span", { title: item.meaning }, item.meaning);
    const track = element(row, "div", { class: "track" });
    const mark = (value, kind, title) => {
      if (value === null || Math.abs(value) > data.limit) return;
      element(track, "i", { class: kind, title, style: `--at: ${(value + data.limit) / (2 * data.limit)}` });
    };
    mark(item.low, "tick", "1st percentile of the galaxies");
    mark(item.high, "tick", "99th percentile of the galaxies");
    mark(0, "tick zero", "mean");
    mark(data.start[index], "tick start", "start");
    const about = `${item.name}, ${item.meaning}, standard deviations`;
    const slide = element(track, "input", { type: "range", min: -data.limit, max: data.limit, step: 0.01, "aria-label": about });
    const box = element(row, "input", { type: "number", min: -data.limit, max: data.limit, step: KEY_STEP, "aria-label": `${item.name}, value` });
    slide.oninput = () => { stop(); move(index, Number(slide.value)); };
    slide.onchange = () => report();
    slide.ondblclick = () => { move(index, 0); report(); };
    slide.title = "Double-click: 0. Arrow keys: 0.05, with Shift 0.5.";
    slide.onkeydown = (event) => {
      const sign = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      if (!sign || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      event.stopPropagation();
      stop();
      move(index, Math.round((latent[index] + sign * (event.shiftKey ? BIG_STEP : KEY_STEP)) * 100) / 100);
      report(KEY_REPORT_AFTER_MS);
    };
    box.onkeydown = (event) => event.stopPropagation();
    box.oninput = () => { if (box.value !== "" && Number.isFinite(box.valueAsNumber)) { stop(); move(index, box.valueAsNumber); report(KEY_REPORT_AFTER_MS); } };
    box.onblur = show;
    return { slide, box };
  }

  // One latent from -3 to 3 and back; without motion, a step of one standard deviation a second.
  function play() {
    const index = Number(ui.select.value), began = performance.now();
    const step = (now) => {
      if (!sweep || !root.isConnected) return;
      const seconds = (now - began) / 1000;
      if (sweep.isCalm) {
        const place = Math.floor(seconds) % 12;
        move(index, place <= 6 ? place - SWEEP_LIMIT : 9 - place);
      } else {
        const phase = (seconds / SWEEP_SECONDS) % 1;
        move(index, SWEEP_LIMIT * (phase < 0.5 ? 4 * phase - 1 : 3 - 4 * phase));
      }
      sweep.handle = requestAnimationFrame(step);
    };
    sweep = { isCalm: isCalm(), handle: requestAnimationFrame(step) };
    ui.play.textContent = "Pause";
    ui.play.setAttribute("aria-pressed", "true");
  }

  function stop() {
    if (!sweep) return false;
    cancelAnimationFrame(sweep.handle);
    sweep = null;
    ui.play.textContent = "Play";
    ui.play.setAttribute("aria-pressed", "false");
    return true;
  }

  function windows() {
    ui.windows.replaceChildren();
    for (const { key, label, range } of data.windows) {
      const button = element(ui.windows, "button", { type: "button", "aria-pressed": key === windowKey }, label);
      button.onclick = () => {
        windowKey = key;
        scene.window = range;
        for (const other of ui.windows.children) other.setAttribute("aria-pressed", other === button);
        isFresh = true;
        plan();
      };
    }
  }

  function startOver() {
    stop();
    clearTimeout(timer);
    latent = Float64Array.from(data.latent);
    lab.sent = JSON.stringify(Array.from(latent, (value) => Number(value.toFixed(4))));
    ui.sliders.replaceChildren();
    lab.inputs = data.latents.map(slider);
    ui.select.replaceChildren();
    data.latents.forEach(({ name }, index) => element(ui.select, "option", { value: index }, name));
    ui.note.textContent = isCalm() ? "−3 to 3 σ, one step a second (reduced motion)" : "−3 to 3 σ and back";
    root.querySelector(".key .ghost").textContent = `start: ${data.start_label}`;
    ui.between.style.display = data.target ? "" : "none";
    if (data.target) {
      for (const [kind, image, label] of [["from", data.image, data.start_label], ["to", data.target.image, data.target.label]]) {
        const picture = ui.find(`img.${kind}`);
        picture.src = image;
        picture.alt = label;
        picture.style.display = image ? "" : "none";
      }
      ui.between.querySelector("span").textContent = `${data.start_name} → ${data.target.name}`;
      ui.mix.setAttribute("aria-label", `from ${data.start_label} to ${data.target.label}`);
      ui.mix.value = 0;
    }
    show();
  }

  function setScene() {
    if (!model || !data) return;
    const ghost = model.decode(data.start);
    const range = data.windows.find(({ key }) => key === windowKey)?.range ?? data.windows[0].range;
    scene = { wave: model.wave, ghost, lines: data.lines, window: range, source: data.source };
    bpt.source(data.source);
    startValues = model.measure(ghost);
    for (const row of rows) row.start.textContent = textOf(row.write, startValues);
    bpt.start(startValues);
    root.querySelector(".density").style.display = model.density ? "" : "none";
    isFresh = true;
    plan();
    describe();
  }

  ui.mix.oninput = () => {
    stop();
    const share = Number(ui.mix.value);
    moveAll(data.start.map((value, i) => (1 - share) * value + share * data.target.latent[i]));
  };
  ui.mix.onchange = () => report();
  ui.mix.onkeydown = (event) => { event.stopPropagation(); };
  root.querySelector("button.reset").onclick = () => { stop(); moveAll(data.start); report(); };
  root.querySelector("button.zero").onclick = () => { stop(); moveAll(data.start.map(() => 0)); report(); };
  ui.play.onclick = () => { if (stop()) report(); else play(); };
  ui.plot.onpointermove = (event) => {
    const i = scene && lab.flux ? plot.pixelAt(event, scene) : -1;
    ui.pointer.textContent = i < 0 ? "" : `${scene.wave[i].toFixed(1)} Å: ${signed(lab.flux[i], 3)}, start ${signed(scene.ghost[i], 3)}, difference ${signed(lab.flux[i] - scene.ghost[i], 3, true)}`;
  };
  ui.plot.onpointerleave = () => { plot.leave(); ui.pointer.textContent = ""; };

  const onModel = () => {
    model = data && shared.models.get(data.model);
    lab.model = model;
    setScene();
  };
  const resized = new ResizeObserver(() => { isFresh = true; plan(); });
  resized.observe(ui.plot);
  shared.events.addEventListener("model", onModel);
  root.laboratory = lab;

  return {
    load(next) {
      const isOther = !data || data.token !== next.token;
      data = next;
      if (isOther) startOver();
      windows();
      onModel();
    },
    destroy() {
      stop();
      clearTimeout(timer);
      clearTimeout(readTimer);
      resized.disconnect();
      shared.events.removeEventListener("model", onModel);
      shared.latent = null;
      shared.events.dispatchEvent(new Event("latent"));
    },
  };
}

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".latent-lab");
  let known = laboratories.get(parentElement);
  if (!known) {
    known = { lab: makeLaboratory(root, (value) => setStateValue("moved", value)), data: null };
    laboratories.set(parentElement, known);
  }
  if (known.data !== data) {
    known.data = data;
    known.lab.load(data);
  }
  return () => {
    known.lab.destroy();
    laboratories.delete(parentElement);
  };
}
