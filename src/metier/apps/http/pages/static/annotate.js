// The desk: keys, the clock, drafts, and the next item on the screen at once.
//
// What is answered is sent while the next item, fetched before, is on the screen already. It has no
// key until the answer arrives: what is entered meanwhile stays, and Enter waits for the key. Where
// sending fails, the item comes back as it was left, with a notice; Enter tries again.
"use strict";

const DRAFT = "metier-draft-";
const WAIT_MS = 20000, DRAFT_MS = 800, PEEK_MS = 150;
const work = () => document.getElementById("work");
const desk = () => document.querySelector("#work > .desk");
const form = () => { const here = desk(); return here && here.querySelector("#answer"); };
const url = () => work().dataset.url;

// -- the clock: seconds that this item was in sight ------------------------------------------------
let clocked = null, since = null;
function tick() {
  const now = performance.now();
  if (clocked && since !== null) clocked.seen = (clocked.seen || 0) + now - since;
  since = document.visibilityState === "visible" ? now : null;
}
const seconds = () => { tick(); return clocked ? (clocked.seen || 0) / 1000 : 0; };
document.addEventListener("visibilitychange", tick);
setInterval(() => {
  const clock = document.getElementById("clock");
  if (!clock || !desk() || document.visibilityState !== "visible") return;
  const all = Math.floor(seconds());
  clock.textContent = `${Math.floor(all / 60)}:${String(all % 60).padStart(2, "0")}`;
}, 1000);

// -- drafts: here at once, on the server a little later ---------------------------------------------
const kept = {
  get: (key) => { try { return localStorage.getItem(DRAFT + key); } catch { return null; } },
  set: (key, text) => { try { localStorage.setItem(DRAFT + key, text); } catch { /* private windows have none */ } },
  drop: (key) => { try { localStorage.removeItem(DRAFT + key); } catch { /* likewise */ } },
};
const entries = (of) => [...new FormData(of).entries()].filter(([name]) => name.startsWith("v:") || name === "comment" || name === "flag");
let saving = null;

function keepDraft(now) {
  const here = desk();
  if (!here || !here.dataset.key || !here.dirty) return;
  const body = new URLSearchParams([...entries(form()), ["seconds", seconds().toFixed(2)]]);
  kept.set(here.dataset.key, JSON.stringify([...body.entries()]));
  clearTimeout(saving);
  const path = `${url()}/${here.dataset.key}/draft`;
  const send = () => fetch(path, { method: "POST", body, keepalive: true, headers: headers() }).then((answer) => {
    if (answer.ok && desk() === here) document.getElementById("draft").textContent = "Draft kept.";
  }, () => {});
  if (now) send(); else saving = setTimeout(send, DRAFT_MS);
}
addEventListener("pagehide", () => { if (desk() && desk().dirty) keepDraft(true); });

function takeUpDraft(here) {
  const text = kept.get(here.dataset.key) || here.dataset.draft;
  if (!here.dataset.key || !text) return;
  const values = JSON.parse(text);
  for (const field of here.querySelector("#answer").elements) {
    if (!field.name || field.tagName === "BUTTON" || !(field.name.startsWith("v:") || field.name === "comment" || field.name === "flag")) continue;
    const mine = values.filter(([name]) => name === field.name).map(([, value]) => value);
    if (field.type === "radio" || field.type === "checkbox") field.checked = mine.includes(field.value);
    else if (mine.length) field.value = mine[0];
  }
  const before = values.find(([name]) => name === "seconds");
  if (before) here.seen = Math.max(here.seen || 0, Number(before[1]) * 1000);
  here.dirty = true;
  here.querySelector("#draft").textContent = "Your draft from before is back.";
}

// -- fields: which one the digits choose in, finding among many ------------------------------------
const options = (field) => [...field.querySelectorAll(".choice")].filter((one) => !one.hidden);
const fieldsets = () => (form() ? [...form().querySelectorAll("fieldset[data-field]")] : []);

function point(field) {
  for (const one of form().querySelectorAll(".current")) one.classList.remove("current");
  if (field) field.classList.add("current");
  form().dataset.at = field ? fieldsets().indexOf(field) : 0;
}
const pointed = () => fieldsets()[Number(form().dataset.at || 0)];

function choose(option, field) {
  if (option.matches("button")) { option.click(); return; }
  const input = option.querySelector("input");
  const off = input.checked && (input.type === "checkbox" || !("required" in field.dataset));
  input.checked = !off;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  const all = fieldsets();
  if (input.type === "radio" && !off) point(all[Math.min(all.indexOf(field) + 1, all.length - 1)]);
}

function sift(box) {
  const field = box.closest("[data-field]"), wanted = box.value.trim().toLowerCase().split(/\s+/);
  for (const one of field.querySelectorAll(".choice")) {
    const text = one.textContent.toLowerCase();
    one.hidden = !wanted.every((word) => text.includes(word));
  }
  number(field);
}

function number(field) {
  for (const key of field.querySelectorAll(".choice kbd")) key.textContent = "";
  options(field).slice(0, 9).forEach((one, place) => { const key = one.querySelector("kbd"); if (key) key.textContent = place + 1; });
}

function pickSifted(box) {
  const field = box.closest("[data-field]"), first = options(field)[0];
  if (!first) return;
  box.value = "";
  sift(box);
  box.blur();
  choose(first, field);
  first.scrollIntoView({ block: "nearest" });
}

function fill(name, value) {
  for (const field of form().elements) {
    if (field.name !== name) continue;
    if (field.type === "radio" || field.type === "checkbox") field.checked = [].concat(value).map(String).includes(field.value);
    else field.value = typeof value === "string" ? value : JSON.stringify(value);
  }
}

function takeSuggestion(button) {
  const value = JSON.parse(button.dataset.suggested);
  const whole = value !== null && typeof value === "object" && !Array.isArray(value);
  for (const [name, one] of whole ? Object.entries(value) : [["answer", value]]) fill(`v:${name}`, one);
  spans.again();
  form().dispatchEvent(new Event("input", { bubbles: true }));
}

// -- what was changed in a text ----------------------------------------------------------------------
function difference(before, after) {
  const [a, b] = [before, after].map((text) => text.split(/(\s+)/).filter(Boolean));
  if (a.length * b.length > 400000) return [["", "The text is long: what changed is not shown."]];
  const rows = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i -= 1) for (let j = b.length - 1; j >= 0; j -= 1) rows[i][j] = a[i] === b[j] ? rows[i + 1][j + 1] + 1 : Math.max(rows[i + 1][j], rows[i][j + 1]);
  const parts = [];
  let i = 0, j = 0;
  const add = (kind, text) => { const last = parts[parts.length - 1]; if (last && last[0] === kind) last[1] += text; else parts.push([kind, text]); };
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) { add("", a[i]); i += 1; j += 1; }
    else if (j >= b.length || (i < a.length && rows[i + 1][j] >= rows[i][j + 1])) { add("del", a[i]); i += 1; }
    else { add("ins", b[j]); j += 1; }
  }
  return parts;
}

function showChanges(box) {
  const into = box.parentElement.querySelector("[data-diff]");
  if (!into || box.dataset.begin === undefined) return;
  if (box.value === box.dataset.begin) { into.innerHTML = '<span class="quiet">nothing yet</span>'; return; }
  into.replaceChildren(...difference(box.dataset.begin, box.value).map(([kind, text]) => {
    const part = document.createElement(kind || "span");
    part.textContent = text;
    return part;
  }));
}

// -- an item comes on the screen ---------------------------------------------------------------------
let coming = null; // the element of the item that is likely to come

function begin(here) {
  tick();
  clocked = here;
  since = document.visibilityState === "visible" ? performance.now() : null;
  if (!here) return;
  if (here.seen === undefined) here.seen = Number(here.dataset.seconds) * 1000; // changing adds to it
  if (here.dataset.key) takeUpDraft(here);
  point(fieldsets()[0]);
  for (const field of fieldsets()) if (field.querySelector("[data-sift]")) number(field);
  for (const box of here.querySelectorAll("textarea[data-begin]")) showChanges(box);
  spans.begin(here);
  if (here.dataset.key) peek(here);
}

function peek(here) {
  coming = null;
  setTimeout(async () => {
    if (desk() !== here) return;
    try {
      const answer = await fetch(`${url()}/peek?after=${encodeURIComponent(here.dataset.item)}`, { headers: headers(), signal: AbortSignal.timeout(WAIT_MS) });
      const found = answer.status === 200 ? parsed(await answer.text()).querySelector(".desk") : null;
      if (desk() === here && found) { coming = found; here.dataset.next = found.dataset.item; }
    } catch { /* the item comes with the answer to what is saved */ }
  }, PEEK_MS);
}

const parsed = (html) => { const box = document.createElement("template"); box.innerHTML = html; return box.content; };
const headers = () => ({ "HX-Request": "true", "HX-Current-URL": location.href, "X-CSRF-Token": csrfToken() });

function toTop() {
  const title = document.getElementById("asked-title");
  if (title) title.focus({ preventScroll: true });
  scrollTo({ top: 0 });
}

// -- sending -----------------------------------------------------------------------------------------
let busy = false, wantsMore = null;

async function conclude(path, body) {
  if (busy) return;
  busy = true;
  clearTimeout(saving);
  notice().replaceChildren();
  const left = desk(), before = [...work().childNodes], early = "training" in left.dataset ? null : coming;
  left.setAttribute("aria-busy", "true");
  if (early) {
    for (const one of before) if (one.nodeType !== 1 || !one.classList.contains("bench")) one.remove();
    work().append(early);
    begin(early);
    toTop();
  }
  try {
    const answer = await fetch(path, { method: "POST", body, headers: headers(), signal: AbortSignal.timeout(WAIT_MS) });
    const html = await answer.text(), login = answer.headers.get("hx-redirect");
    if (login) { keepDraft(); location.href = login; return; }
    if (!answer.ok || answer.redirected) throw new Refused(answer, html);
    kept.drop(left.dataset.key);
    arrive(parsed(html).querySelector("#work"), early);
  } catch (error) {
    putBack(left, before, early, error);
  } finally {
    busy = false;
    left.removeAttribute("aria-busy");
  }
  const more = wantsMore;
  wantsMore = null;
  if (more && more.at === desk() && more.at.dataset.key) more.run();
}

class Refused extends Error {
  constructor(answer, html) {
    const told = parsed(html).querySelector(".notice");
    super(told ? told.textContent.trim() : `The server answered with an error (${answer.status}).`);
    this.gone = answer.status === 404 || answer.status === 409;
  }
}

// The item that was shown early stays as it is, with what was entered; all around it is new.
function arrive(fresh, early) {
  const real = fresh.querySelector(".desk");
  if (early && early.isConnected && real && real.dataset.item === early.dataset.item) {
    early.dataset.key = real.dataset.key;
    // As an attribute: in a template's document, which has no address, the property is empty.
    early.querySelector("#answer").setAttribute("action", real.querySelector("#answer").getAttribute("action"));
    const under = early.querySelector("[name=guideline]");
    if (under) under.value = fresh.dataset.guideline; // follow() shows that version
    for (const image of early.querySelectorAll("img[data-digest]")) image.src = `${url()}/${real.dataset.key}/image/${image.dataset.digest}`;
    for (const one of [...work().childNodes]) if (one !== early) one.remove();
    let passed = false;
    for (const one of [...fresh.childNodes]) {
      if (one === real) passed = true;
      else if (passed) work().append(one);
      else early.before(one);
    }
    follow(fresh);
    if (early.dirty) keepDraft();
    peek(early);
    return;
  }
  const entered = early && early.dirty;
  work().replaceWith(fresh);
  follow(fresh);
  begin(desk());
  toTop();
  if (entered) say("Somebody else has that item by now; this is the next one.");
}

function putBack(left, before, early, error) {
  work().replaceChildren(...before);
  coming = early;
  tick();
  clocked = left;
  spans.begin(left);
  const lost = error instanceof Refused ? error.message : "The server cannot be reached, or is slow.";
  say(`${lost} Your answer is kept here; press Enter to try again.`);
  if (!(error instanceof Refused && error.gone)) return;
  const on = document.createElement("a");
  on.href = url();
  on.textContent = " Or go to the next item.";
  notice().firstElementChild.append(on);
}

// The guideline on the screen is the one that answers are bound to.
async function follow(fresh) {
  if (location.search) history.replaceState(null, "", url());
  if (fresh !== work()) for (const [name, value] of Object.entries(fresh.dataset)) work().dataset[name] = value;
  const guide = document.getElementById("guide"), shown = guide && guide.querySelector(".pill");
  if (!shown || shown.textContent === `version ${work().dataset.guideline}`) return;
  const answer = await fetch(`${url()}/guideline`, { headers: headers() });
  if (!answer.ok) return;
  guide.replaceChildren(parsed(await answer.text()));
  say(`The guideline has changed: it is ${guide.querySelector(".pill").textContent} now.`, true);
}

function save(button) {
  const here = desk(), of = form();
  if (!here || !of) return;
  if (busy) { wantsMore = { at: here, run: () => save(button) }; return; }
  if (!(button && button.formNoValidate) && !of.reportValidity()) return;
  const body = new FormData(of);
  body.set("seconds", seconds().toFixed(2));
  if (button && button.name) body.append(button.name, button.value);
  conclude(of.action, new URLSearchParams(body));
}

function pass() {
  const of = document.getElementById("pass");
  if (!of) return;
  if (busy) { wantsMore = { at: desk(), run: pass }; return; }
  conclude(of.action, new URLSearchParams(new FormData(of)));
}

document.addEventListener("submit", (event) => {
  if (event.target.id === "answer") { event.preventDefault(); save(event.submitter); }
  else if (event.target.id === "pass") { event.preventDefault(); pass(); }
});

// -- keys: never while typing --------------------------------------------------------------------------
const types = (target) => target.isContentEditable || target.matches("textarea, select, input:not([type=radio]):not([type=checkbox])");
const guide = () => document.getElementById("guide");

function toggleGuide() {
  if (!guide()) return;
  guide().hidden = !guide().hidden;
  document.querySelector(".with-guide").classList.toggle("open", !guide().hidden);
  const button = document.getElementById("guide-toggle");
  if (button) button.setAttribute("aria-expanded", String(!guide().hidden));
  try { sessionStorage.setItem("metier-guide", guide().hidden ? "" : "open"); } catch { /* not kept then */ }
}

const flagged = (value) => form() && form().querySelector(`button[name=flag][value=${value}]`);
function remark(flag) {
  const more = form() && form().querySelector(".beside-answer");
  if (!more) return;
  more.open = true;
  if (!flag) { more.querySelector("textarea").focus(); return; }
  const box = more.querySelector("input[type=checkbox]");
  box.checked = !box.checked;
  box.dispatchEvent(new Event("input", { bubbles: true }));
}
const KEYS = {
  s: pass,
  u: () => { const link = document.getElementById("undo"); if (link) link.click(); },
  g: toggleGuide,
  c: () => { const one = flagged("cannot_tell"); if (one) save(one); },
  o: () => { const one = flagged("not_my_field"); if (one) save(one); },
  f: () => remark(true),
  m: () => remark(false),
  t: () => { const one = document.querySelector("[data-suggested]"); if (one) takeSuggestion(one); },
  "/": () => { const box = (pointed() || document).querySelector("[data-sift]") || document.querySelector("[data-sift]"); if (box) box.focus(); },
};

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  const help = document.getElementById("help");
  if (help.open) return;
  if (key === "Enter" && target.matches("[data-sift]")) { event.preventDefault(); pickSifted(target); return; }
  if (key === "Escape" && types(target)) { target.blur(); return; }
  if (types(target) || event.isComposing) return;
  if (key === "Enter" && !event.altKey && form() && !target.closest("a, button, summary")) {
    if (event.defaultPrevented || event.repeat) return;
    event.preventDefault();
    save(null);
    return;
  }
  if (form() && !target.closest(".choices, select") && spans.key(event)) { event.preventDefault(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (key === "?") { event.preventDefault(); help.showModal(); return; }
  if (event.repeat) return;
  if (KEYS[key] && (form() || key === "u" || key === "g")) { event.preventDefault(); KEYS[key](); return; }
  const field = form() && /^[1-9]$/.test(key) && pointed();
  const option = field && options(field)[Number(key) - 1];
  if (option) { event.preventDefault(); choose(option, field); }
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-help]")) document.getElementById("help").showModal();
  else if (event.target.closest("#guide-toggle")) toggleGuide();
  else if (event.target.closest("[data-suggested]")) takeSuggestion(event.target.closest("[data-suggested]"));
});
document.addEventListener("input", (event) => {
  if (event.target.matches("[data-sift]")) { sift(event.target); return; }
  if (!form() || !form().contains(event.target)) return;
  if (event.target.matches("textarea[data-begin]")) showChanges(event.target);
  desk().dirty = true;
  keepDraft();
});
document.addEventListener("focusin", (event) => {
  const field = form() && event.target.closest("#answer fieldset[data-field]");
  if (field) point(field);
});

let wasOpen = "";
try { wasOpen = sessionStorage.getItem("metier-guide"); } catch { /* closed then */ }
if (wasOpen) toggleGuide();
begin(desk());
