// Single keys: which does what, and whether they do anything.

const SETTINGS = "fedask.keys";

export function wireKeys(page) {
  const box = document.getElementById("keys-on");
  remember(box);
  const keys = {
    s: () => page.answer("skip"),
    u: () => page.answer("unsure"),
    z: () => page.undo(),
    g: () => page.guess(),
    p: () => page.stage.acts.play && page.stage.acts.play(),
    y: () => page.offer.yes(),
    n: () => page.offer.no(),
    "/": () => page.choices.find(),
    "?": () => page.openDialog("help"),
    i: () => page.openDialog("guidelines"),
    c: () => page.openDialog("progress"),
    "+": () => page.stage.acts.zoom && page.stage.acts.zoom(1.5),
    f: () => page.stage.acts.closer && page.stage.acts.closer(),
    "-": () => page.stage.acts.zoom && page.stage.acts.zoom(1 / 1.5),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (!box.checked || event.repeat || document.querySelector("dialog[open]")) return;
    if (event.target.matches("input:not([type=checkbox]), textarea")) return;
    const act = page.offer.isOpen && event.key === "Escape" ? keys.n : keys[event.key];
    const label = page.choices.keys.get(event.key);
    if (act) act();
    else if (label !== undefined) page.answer(label);
    else return;
    event.preventDefault();
  });
}

// Whoever switches them off finds them off the next time.
function remember(box) {
  try {
    box.checked = localStorage.getItem(SETTINGS) !== "off";
  } catch {
    box.checked = true;
  }
  box.addEventListener("change", () => {
    try {
      localStorage.setItem(SETTINGS, box.checked ? "on" : "off");
    } catch {
      // Only until the tab is closed, then.
    }
  });
}
