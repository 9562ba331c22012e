// The next item on the screen at once, on every desk.
//
// What is answered is sent while the next item, fetched before, is on the screen already. It has no
// key until the answer arrives: what is entered meanwhile stays, and saving waits for the key. Where
// sending fails, the item comes back as it was left, with a notice; the same key tries again.
//
//   const desk = ahead({ root: "work", item: ".desk", begin, back, keep, told })
//
// root    id of the part that each answer replaces; its data-url is the desk's address
// item    the item in it: data-item names it, data-key is this person's place ("" while there is none)
// begin   an item comes on the screen; back: it was put back; keep: keep what was entered
// told    what is around the item is new
"use strict";

const PEEK_MS = 150;

// Seconds that an item was in sight.
const clock = (() => {
  let on = null, since = null;
  const visible = () => (document.visibilityState === "visible" ? performance.now() : null);
  function tick() {
    const now = performance.now();
    if (on && since !== null) on.seen = (on.seen || 0) + now - since;
    since = visible();
  }
  document.addEventListener("visibilitychange", tick);
  return {
    seconds: () => { tick(); return on ? (on.seen || 0) / 1000 : 0; },
    start(here) {
      tick();
      on = here;
      since = visible();
      if (here && here.seen === undefined) here.seen = Number(here.dataset.seconds) * 1000; // changing adds to it
    },
  };
})();

const ahead = ({ root, item, begin, back, keep, told }) => {
  const whole = () => document.getElementById(root);
  const here = () => whole() && whole().querySelector(`:scope > ${item}`);
  const url = () => whole().dataset.url;
  let coming = null, busy = false, waits = null;

  // Fetch what is likely to come; after a change that is the item left before, which the server has.
  function peek(now) {
    coming = null;
    if (!now.dataset.key || "again" in now.dataset) return;
    setTimeout(async () => {
      if (here() !== now) return;
      try {
        const answer = await fetch(`${url()}/peek?after=${encodeURIComponent(now.dataset.item)}`, { headers: headers(), signal: AbortSignal.timeout(WAIT_MS) });
        const found = answer.status === 200 ? parsed(await answer.text()).querySelector(item) : null;
        if (here() === now && found) { coming = found; now.dataset.next = found.dataset.item; }
      } catch { /* the item comes with the answer to what is saved */ }
    }, PEEK_MS);
  }

  function start() {
    clock.start(here());
    if (!here()) return;
    begin(here());
    peek(here());
  }

  function toTop() {
    const title = here() && here().querySelector("h2[tabindex]");
    if (title) title.focus({ preventScroll: true });
    scrollTo({ top: 0 });
  }

  // Post what concludes the item on the screen. ``left`` is called once the server has it.
  async function conclude(path, body, left = () => {}) {
    if (busy) return;
    busy = true;
    notice().replaceChildren();
    const from = here(), nodes = [...whole().childNodes], early = "training" in from.dataset ? null : coming;
    from.setAttribute("aria-busy", "true");
    if (early) {
      for (const one of nodes) if (one.nodeType !== 1 || !one.classList.contains("bench")) one.remove();
      whole().append(early);
      start();
      toTop();
    }
    try {
      const html = await post(path, body);
      left();
      arrive(parsed(html).getElementById(root), early);
    } catch (error) {
      putBack(from, nodes, early, error);
    } finally {
      busy = false;
      from.removeAttribute("aria-busy");
    }
    const more = waits;
    waits = null;
    if (more && more.at === here() && more.at.dataset.key) more.run();
  }

  // The item that was shown early stays as it is, with what was entered; all around it is new.
  function arrive(fresh, early) {
    const real = fresh.querySelector(`:scope > ${item}`);
    if (!(early && early.isConnected && real && real.dataset.item === early.dataset.item)) {
      const entered = early && early.dirty;
      whole().replaceWith(fresh);
      told(fresh, false);
      start();
      toTop();
      if (entered) say("Somebody else has that item by now; this is the next one.");
      return;
    }
    early.dataset.key = real.dataset.key;
    // As an attribute: in a template's document, which has no address, the property is empty.
    early.querySelector("#answer").setAttribute("action", real.querySelector("#answer").getAttribute("action"));
    for (const image of early.querySelectorAll("img[data-image]")) image.src = `${url()}/${real.dataset.key}/image/${image.dataset.image}`;
    for (const one of [...whole().childNodes]) if (one !== early) one.remove();
    let passed = false;
    for (const one of [...fresh.childNodes]) {
      if (one === real) passed = true;
      else if (passed) whole().append(one);
      else early.before(one);
    }
    for (const [name, value] of Object.entries(fresh.dataset)) whole().dataset[name] = value;
    told(fresh, true);
    if (early.dirty) keep();
    peek(early);
  }

  function putBack(from, nodes, early, error) {
    whole().replaceChildren(...nodes);
    coming = early;
    clock.start(from);
    back(from);
    tellLost(error);
    if (!(error instanceof Refused && error.gone)) return;
    const on = document.createElement("a");
    on.href = url();
    on.textContent = " Or go to the next item.";
    notice().firstElementChild.append(on);
  }

  return {
    here, url, start, conclude,
    // Run it now, or once the item on the screen has its key.
    once: (run) => { if (busy) waits = { at: here(), run }; else run(); },
  };
};
