// The desk: drafts, what changed in a text, and what the keys do. The next item comes from ahead.js.
"use strict";

const DRAFT = "metier-draft-", DRAFT_MS = 800;
const work = () => document.getElementById("work");
const desk = () => document.querySelector("#work > .desk");
const form = () => { const here = desk(); return here && here.querySelector("#answer"); };
const url = () => work().dataset.url;

// -- the clock -----------------------------------------------------------------------------------------
setInterval(() => {
  const shown = document.getElementById("clock");
  if (!shown || !desk() || document.visibilityState !== "visible") return;
  const all = Math.floor(clock.seconds());
  shown.textContent = `${Math.floor(all / 60)}:${String(all % 60).padStart(2, "0")}`;
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
  const body = new URLSearchParams([...entries(form()), ["seconds", clock.seconds().toFixed(2)]]);
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

const fields = fieldsIn(form);

function takeSuggestion(button) {
  const value = JSON.parse(button.dataset.suggested);
  const whole = value !== null && typeof value === "object" && !Array.isArray(value);
  for (const [name, one] of whole ? Object.entries(value) : [["answer", value]]) fields.fill(`v:${name}`, one);
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

// -- an item comes on the screen, and is sent -----------------------------------------------------------
const next = ahead({
  root: "work",
  item: ".desk",
  begin(here) {
    if (!form()) return; // it can no longer be changed
    if (here.dataset.key) takeUpDraft(here);
    fields.begin();
    for (const box of here.querySelectorAll("textarea[data-begin]")) showChanges(box);
    spans.begin(here);
  },
  back: (here) => spans.begin(here),
  keep: () => keepDraft(),
  told(fresh, early) {
    if (location.search) history.replaceState(null, "", url());
    const under = early && form() && form().elements.guideline;
    if (under) under.value = work().dataset.guideline; // follow() shows that version
    follow();
  },
});

// The guideline on the screen is the one that answers are bound to.
async function follow() {
  const guide = document.getElementById("guide"), shown = guide && guide.querySelector(".pill");
  if (!shown || shown.textContent === `version ${work().dataset.guideline}`) return;
  const answer = await fetch(`${url()}/guideline`, { headers: headers() });
  if (!answer.ok) return;
  guide.replaceChildren(parsed(await answer.text()));
  say(`The guideline has changed: it is ${guide.querySelector(".pill").textContent} now.`, true);
}

function conclude(of, body) {
  const { key } = desk().dataset;
  clearTimeout(saving);
  next.conclude(of.action, new URLSearchParams(body), () => kept.drop(key));
}

function save(button) {
  const of = form();
  if (!of) return;
  next.once(() => {
    if (!(button && button.formNoValidate) && !of.reportValidity()) return;
    const body = new FormData(of);
    body.set("seconds", clock.seconds().toFixed(2));
    if (button && button.name) body.append(button.name, button.value);
    conclude(of, body);
  });
}

const passing = () => document.getElementById("pass");
const pass = () => next.once(() => { if (passing()) conclude(passing(), new FormData(passing())); });

document.addEventListener("submit", (event) => {
  if (event.target.id === "answer") { event.preventDefault(); save(event.submitter); }
  else if (event.target.id === "pass") { event.preventDefault(); pass(); }
});

// -- keys ------------------------------------------------------------------------------------------------
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
const remarks = () => form() && form().querySelector(".beside-answer");
const undo = () => document.getElementById("undo");
const suggested = () => document.querySelector("[data-suggested]");
function flag() {
  const box = remarks().querySelector("input[type=checkbox]");
  remarks().open = true;
  box.checked = !box.checked;
  box.dispatchEvent(new Event("input", { bubbles: true }));
}
function comment() {
  remarks().open = true;
  remarks().querySelector("textarea").focus();
}

keySheet([
  ...fields.keys,
  ...spans.keys,
  { keys: ["Enter", "Ctrl+Enter"], does: "save and show the next one; try again after an error", when: form, run: () => save(null) },
  { keys: ["Ctrl+Enter"], while: "typing", does: "save and show the next one", when: form, run: () => save(null) },
  { keys: ["c"], does: "can't tell", when: () => flagged("cannot_tell"), run: () => save(flagged("cannot_tell")) },
  { keys: ["o"], does: "not my field", when: () => flagged("not_my_field"), run: () => save(flagged("not_my_field")) },
  { keys: ["f"], does: "flag the item", when: remarks, run: flag },
  { keys: ["m"], does: "write a comment", when: remarks, run: comment },
  { keys: ["t"], does: "take what a model suggests", when: suggested, run: () => takeSuggestion(suggested()) },
  { keys: ["s"], does: "pass it on", when: passing, run: pass },
  { keys: ["u"], does: "go back to your previous decision and change it", when: undo, run: () => undo().click() },
  { keys: ["g"], does: "show or hide the guideline", when: guide, run: toggleGuide },
]);

document.addEventListener("click", (event) => {
  if (event.target.closest("#guide-toggle")) toggleGuide();
  else if (event.target.closest("[data-suggested]")) takeSuggestion(event.target.closest("[data-suggested]"));
});
document.addEventListener("input", (event) => {
  if (event.target.matches("[data-sift]") || !form() || !form().contains(event.target)) return;
  if (event.target.matches("textarea[data-begin]")) showChanges(event.target);
  desk().dirty = true;
  keepDraft();
});

let wasOpen = "";
try { wasOpen = sessionStorage.getItem("metier-guide"); } catch { /* closed then */ }
if (wasOpen) toggleGuide();
next.start();
