// Whether there is a keyboard to press single keys on: only then the page shows which do what.

const PLACE = "fedask.keyboard";

// Browsers do not tell. A mouse mostly comes with one; else the first key that is pressed says so.
export function watchKeyboard() {
  const control = new AbortController();
  const show = () => {
    control.abort();
    document.body.dataset.keyboard = "true";
  };
  if (matchMedia("(any-hover: hover) and (any-pointer: fine)").matches || remembered()) show();
  else {
    const when = { capture: true, signal: control.signal };
    document.addEventListener("pointermove", (event) => event.pointerType === "mouse" && show(), when);
    document.addEventListener("keydown", (event) => {
      // The keyboard on a screen says "Unidentified", or writes into a field.
      if (event.isComposing || event.key === "Unidentified" || event.target.matches("input, textarea")) return;
      remember();
      show();
    }, when);
  }
}

function remembered() {
  try {
    return sessionStorage.getItem(PLACE) === "yes";
  } catch {
    return false;
  }
}

function remember() {
  try {
    sessionStorage.setItem(PLACE, "yes");
  } catch {
    // The next one waits for a key again.
  }
}
