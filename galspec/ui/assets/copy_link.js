// Copies the address that the browser shows now: the pages keep their state in it.
const SHOWN_MS = 2000;

// Pages served without TLS from another machine have no navigator.clipboard.
function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.style.position = "fixed";
  area.style.opacity = "0";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

export default function ({ parentElement }) {
  const button = parentElement.querySelector("button");
  const label = button.querySelector("span");
  let timer;
  button.onclick = async () => {
    if (await copy(window.location.href)) {
      label.textContent = "Copied";
    } else {
      label.textContent = "Copy link";
      window.prompt("Copy this address:", window.location.href);
    }
    clearTimeout(timer);
    timer = setTimeout(() => { label.textContent = "Copy link"; }, SHOWN_MS);
  };
  return () => clearTimeout(timer);
}
