// One tab at a time: two would show the same samples, and send the same answers.

export function holdTab(name, { active, passive }) {
  if (!navigator.locks) {
    active();
    return { take() {} };
  }
  let waiting = null;

  // Ends only when the tab closes, or another takes over.
  const hold = () => {
    waiting = null;
    active();
    return new Promise(() => {});
  };
  const lost = () => {
    passive();
    wait();
  };
  const wait = () => {
    const control = new AbortController();
    waiting = control;
    navigator.locks.request(name, { signal: control.signal }, hold).catch(() => {
      if (!control.signal.aborted) lost();
    });
  };
  navigator.locks
    .request(name, { ifAvailable: true }, (lock) => {
      if (lock) return hold();
      lost();
      return undefined;
    })
    .catch(lost);
  return {
    take() {
      if (waiting) waiting.abort();
      navigator.locks.request(name, { steal: true }, hold).catch(lost);
    },
  };
}
