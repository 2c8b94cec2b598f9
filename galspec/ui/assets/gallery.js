// Cards of galaxies: one button each, so that mouse, keyboard and screen reader all open it; a box beside it selects.
const mounted = new WeakMap();

function text(parent, className, value) {
  const span = document.createElement("span");
  span.className = className;
  span.textContent = value;
  parent.append(span);
}

function card(item, send, selectable) {
  const wrapper = document.createElement("div");
  wrapper.className = "card";
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.id = item.id;
  if (item.src) {
    const image = document.createElement("img");
    image.src = item.src;
    image.alt = "";  // the button's label says it
    image.draggable = false;
    button.append(image);
  } else {
    text(button, "empty", "no image");
  }
  text(button, "id", item.id);
  for (const line of ["facts", "class", "error", "mark"]) text(button, line, "");
  button.onclick = () => { button.dataset.opening = "1"; send.open(item.id); };
  wrapper.append(button);
  if (selectable) {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.setAttribute("aria-label", `Select ${item.id}`);
    box.title = "Select (x)";
    box.onchange = () => send.chosen();
    label.append(box);
    wrapper.append(label);
  }
  return wrapper;
}

// What may change without a new picture: written over the card that is there, so that it keeps the focus.
function fill(wrapper, item) {
  const button = wrapper.querySelector("button");
  button.setAttribute("aria-label", item.label);
  delete button.dataset.opening;
  for (const line of ["facts", "class", "error", "mark"]) {
    const span = button.querySelector(`.${line}`);
    span.textContent = item[line] ?? "";
    span.hidden = !item[line];
  }
  const box = wrapper.querySelector("input");
  if (box) box.checked = Boolean(item.selected);
  wrapper.classList.toggle("selected", Boolean(item.selected));
}

// Left and right walk the cards, up and down the rows; past the ends the page turns.
function moved(root, button, key, turn) {
  const buttons = [...root.querySelectorAll("button")];
  const place = buttons.indexOf(button);
  const top = (other) => Math.round(other.getBoundingClientRect().top);
  const perRow = buttons.filter((other) => top(other) === top(buttons[0])).length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -perRow, ArrowDown: perRow }[key];
  const next = buttons[place + step];
  if (next) next.focus();
  else if (Math.abs(step) === 1) turn(step);
}

export default function ({ data, parentElement, setTriggerValue, setStateValue }) {
  const root = parentElement.querySelector(".gallery");
  const state = mounted.get(parentElement) ?? {};
  mounted.set(parentElement, state);
  if (state.data === data) return;
  state.data = data;
  const pictures = JSON.stringify([data.selectable, ...data.cards.map((item) => [item.id, item.src])]);
  root.style.setProperty("--card", `${data.size}px`);
  const send = {
    open: (id) => setTriggerValue("open", id),
    chosen: () => {
      const ids = [...root.querySelectorAll(".card")]
        .filter((wrapper) => wrapper.querySelector("input")?.checked)
        .map((wrapper) => wrapper.querySelector("button").dataset.id);
      for (const wrapper of root.querySelectorAll(".card"))
        wrapper.classList.toggle("selected", Boolean(wrapper.querySelector("input")?.checked));
      setStateValue("chosen", { page: state.data.page, ids });
    },
  };
  if (state.pictures !== pictures) {
    const focused = root.getRootNode().activeElement;
    const hadFocus = root.contains(focused);
    state.pictures = pictures;
    state.scores = [];
    root.replaceChildren(...data.cards.map((item) => card(item, send, data.selectable)));
    if (hadFocus) root.querySelector("button")?.focus();
  }
  [...root.querySelectorAll(".card")].forEach((wrapper, place) => fill(wrapper, data.cards[place]));
  // Keys that come faster than the server answers are sent together, so that none is lost.
  state.scores = (state.scores ?? []).filter(([id, score]) => data.cards.find((item) => item.id === id)?.score !== score);
  root.onkeydown = (event) => {
    const wrapper = event.target.closest?.(".card");
    if (!wrapper || event.ctrlKey || event.metaKey || event.altKey) return;
    const button = wrapper.querySelector("button");
    const box = wrapper.querySelector("input");
    if (event.key.startsWith("Arrow")) moved(root, button, event.key, (step) => setTriggerValue("turn", step));
    else if (box && event.key === "x") { box.checked = !box.checked; send.chosen(); }
    else if (data.scorable && /^[0-5]$/.test(event.key)) {
      state.scores = [...state.scores.filter(([id]) => id !== button.dataset.id), [button.dataset.id, Number(event.key)]];
      setTriggerValue("scored", state.scores);
    } else return;
    event.preventDefault();
    event.stopPropagation();  // the same keys turn the page when no card has the focus
  };
}
