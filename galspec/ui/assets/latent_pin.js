// A crosshair on a Plotly chart of the page, at the position of the sliders. It reads the chart's scales, which Plotly
// keeps in `_fullLayout`; where these are missing nothing is drawn, and the caption still gives the position.

const shared = (globalThis.galspecLatents ??= { models: new Map(), events: new EventTarget(), latent: null });
const LOOK_EVERY_MS = 250, SIZE = 26, mounted = new WeakMap();
const CROSS = `<svg width="${SIZE}" height="${SIZE}" viewBox="-13 -13 26 26" fill="none">
  <path d="M-12,0H-4M4,0H12M0,-12V-4M0,4V12M0,0h0.01" stroke="#fff" stroke-width="6" stroke-linecap="round"/>
  <path d="M-12,0H-4M4,0H12M0,-12V-4M0,4V12M0,0h0.01" stroke="#D55E00" stroke-width="3" stroke-linecap="round"/></svg>`;

function makePin() {
  const pin = document.createElement("div");
  pin.className = "galspec-latent-pin";
  pin.setAttribute("aria-hidden", "true");  // the caption says where it is
  pin.style.cssText = `position: absolute; width: ${SIZE}px; height: ${SIZE}px; pointer-events: none; z-index: 5; display: none;`;
  pin.innerHTML = CROSS;
  let data = null, chart = null;

  function place() {
    const found = data && document.querySelector(`.st-key-${data.chart} .js-plotly-plot`);
    const layout = found?._fullLayout, host = found?.querySelector(".svg-container");
    if (!layout?.xaxis?.l2p || !host) return;
    if (pin.parentElement !== host) host.append(pin);
    if (chart !== found) {
      chart = found;
      chart.on?.("plotly_relayouting", place);
    }
    const latent = shared.latent ?? data.latent;
    const [x, y] = data.matrix.map((row, axis) => row.reduce((sum, weight, i) => sum + weight * latent[i], -data.offset[axis]));
    const left = layout.xaxis.l2p(x), top = layout.yaxis.l2p(y);
    const isInside = left >= 0 && left <= layout.xaxis._length && top >= 0 && top <= layout.yaxis._length;
    pin.style.display = isInside ? "" : "none";
    pin.style.left = `${layout.xaxis._offset + left - SIZE / 2}px`;
    pin.style.top = `${layout.yaxis._offset + top - SIZE / 2}px`;
    pin.dataset.x = x.toFixed(4);
    pin.dataset.y = y.toFixed(4);
  }

  const timer = setInterval(place, LOOK_EVERY_MS);
  shared.events.addEventListener("latent", place);
  return {
    load(next) { data = next; place(); },
    destroy() {
      clearInterval(timer);
      shared.events.removeEventListener("latent", place);
      pin.remove();
    },
  };
}

export default function ({ data, parentElement }) {
  let pin = mounted.get(parentElement);
  if (!pin) {
    pin = makePin();
    mounted.set(parentElement, pin);
  }
  pin.load(data);
  return () => {
    pin.destroy();
    mounted.delete(parentElement);
  };
}
