// Cards of galaxies: one button each, so that mouse, keyboard and screen reader all open it.
const mounted = new WeakMap();

function text(parent, className, value) {
  const span = document.createElement("span");
  span.className = className;
  span.textContent = value;
  parent.append(span);
}

function card(item, open) {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.id = item.id;
  button.setAttribute("aria-label", item.label);
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
  text(button, "facts", item.facts);
  text(button, "class", item.class);
  button.onclick = () => { button.dataset.opening = "1"; open(item.id); };
  return button;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".gallery");
  if (mounted.get(parentElement) !== data) {
    mounted.set(parentElement, data);
    root.replaceChildren(...data.cards.map((item) => card(item, (id) => setTriggerValue("open", id))));
  }
}
