// Keys that no button can have: one that puts the cursor into a box, one that goes to the next choice.
const TYPING = "input, textarea, select, [contenteditable='true']";

function press(data, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.composedPath()[0]?.matches?.(TYPING)) return;
  const key = event.key.toLowerCase();
  if (data.focus[key]) document.querySelector(data.focus[key])?.focus();
  else if (data.next[key]) {
    const choices = [...document.querySelectorAll(`${data.next[key]} [role="radio"]`)];
    const at = choices.findIndex((choice) => choice.getAttribute("aria-checked") === "true");
    choices[(at + 1) % choices.length]?.click();
  } else return;
  event.preventDefault();
}

export default function ({ data }) {
  const listen = (event) => press(data, event);
  document.addEventListener("keydown", listen);
  return () => document.removeEventListener("keydown", listen);
}
