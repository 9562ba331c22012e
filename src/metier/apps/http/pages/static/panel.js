// The desk of a review panel: keys, marked words, the clock, drafts kept as one goes.
"use strict";

const form = () => document.getElementById("answer");
const questions = () => [...form().querySelectorAll("[data-question]")];
const current = () => form().querySelector("[data-question].current") || questions()[0];

// -- the clock: seconds that this item was in sight -----------------------------------------------
let seen = 0, since = null;
const tick = () => {
  const now = performance.now();
  if (since !== null) seen += now - since;
  since = document.visibilityState === "visible" ? now : null;
};
document.addEventListener("visibilitychange", tick);

// -- marked words: whole words, kept as stretches of characters (code points) ----------------------
class Marks {
  constructor(box) {
    this.box = box;
    this.place = box.dataset.place;
    this.text = box.textContent;
    this.tokens = this.text.match(/\s+|[^\s]+/g) || [];
    this.words = this.tokens.map((token, at) => (/\S/.test(token) ? at : -1)).filter((at) => at >= 0);
    this.starts = [];
    let at = 0;
    for (const token of this.tokens) { this.starts.push(at); at += Array.from(token).length; }
    this.end = at;
    this.marked = new Set();
    this.cursor = -1;
    this.anchor = -1;
    this.draw();
  }

  draw() {
    this.box.replaceChildren(...this.tokens.map((token, at) => {
      if (!/\S/.test(token)) return document.createTextNode(token);
      const span = document.createElement("span");
      span.className = "word";
      span.dataset.at = at;
      span.textContent = token;
      return span;
    }));
    this.paint();
  }

  paint() {
    const [low, high] = this.reach();
    for (const span of this.box.querySelectorAll(".word")) {
      const at = Number(span.dataset.at);
      span.classList.toggle("wrong", this.marked.has(at));
      span.classList.toggle("at", this.cursor >= 0 && at >= low && at <= high);
    }
  }

  reach() { return [Math.min(this.cursor, this.anchor), Math.max(this.cursor, this.anchor)]; }

  toggle(low, high) {
    const inside = this.words.filter((at) => at >= low && at <= high);
    const all = inside.every((at) => this.marked.has(at));
    for (const at of inside) { if (all) this.marked.delete(at); else this.marked.add(at); }
    this.paint();
    keepMarks();
  }

  read(spans) {
    for (const { reply, start, end } of spans) {
      if (reply !== this.place) continue;
      for (const at of this.words) {
        const from = this.starts[at], to = at + 1 < this.starts.length ? this.starts[at + 1] : this.end;
        if (from < end && to > start) this.marked.add(at);
      }
    }
    this.paint();
  }

  spans() {
    const found = [];
    for (const at of this.words) {
      if (!this.marked.has(at)) continue;
      const start = this.starts[at], end = start + Array.from(this.tokens[at]).length;
      const last = found[found.length - 1];
      if (last && last.word === this.words[this.words.indexOf(at) - 1]) { last.end = end; last.word = at; }
      else found.push({ reply: this.place, start, end, word: at });
    }
    return found.map(({ reply, start, end }) => ({ reply, start, end }));
  }

  enter() {
    if (!this.words.length) return;
    if (this.cursor < 0) this.cursor = this.anchor = this.words[0];
    this.box.focus({ preventScroll: true });
    this.paint();
  }

  leave() { this.cursor = this.anchor = -1; this.paint(); this.box.blur(); }

  move(step, wide) {
    const place = Math.min(Math.max(this.words.indexOf(this.cursor) + step, 0), this.words.length - 1);
    this.cursor = this.words[place];
    if (!wide) this.anchor = this.cursor;
    this.paint();
    announce(this.tokens.slice(this.reach()[0], this.reach()[1] + 1).join(""));
    const span = this.box.querySelector(`[data-at="${this.cursor}"]`);
    if (span) span.scrollIntoView({ block: "nearest" });
  }
}

let marks = [];
const announce = (words) => { const line = document.querySelector("#marks span"); if (line) line.textContent = words; };
const told = () => {
  const count = marks.reduce((sum, one) => sum + one.marked.size, 0);
  announce(count ? `${count} marked` : "none marked");
};
function keepMarks() {
  form().elements.wrong.value = JSON.stringify(marks.flatMap((one) => one.spans()));
  told();
  keepSoon();
}
const marking = () => marks.find((one) => one.cursor >= 0);

function markByMouse() {
  const chosen = getSelection();
  if (!chosen || chosen.isCollapsed) return;
  const one = marks.find((each) => each.box.contains(chosen.anchorNode) && each.box.contains(chosen.focusNode));
  if (!one) return;
  const hit = [...one.box.querySelectorAll(".word")].filter((span) => chosen.containsNode(span, true)).map((span) => Number(span.dataset.at));
  chosen.removeAllRanges();
  if (hit.length) one.toggle(Math.min(...hit), Math.max(...hit));
}

// -- questions ------------------------------------------------------------------------------------
function point(field) {
  for (const one of form().querySelectorAll(".current")) one.classList.remove("current");
  if (!field) return;
  field.classList.add("current");
  field.scrollIntoView({ block: "nearest" });
}

function step(by) {
  const all = questions();
  point(all[Math.min(Math.max(all.indexOf(current()) + by, 0), all.length - 1)]);
}

function tell(field) {
  const chosen = field.querySelector("input[type=radio]:checked"), line = field.querySelector(".anchor");
  if (line && chosen && chosen.dataset.words) line.textContent = `${chosen.value}: ${chosen.dataset.words}`;
}

function choose(digit) {
  const field = current(), option = field && field.querySelectorAll("input[type=radio]")[digit - 1];
  if (!option) return;
  option.checked = true;
  option.dispatchEvent(new Event("input", { bubbles: true }));
  step(1);
}

function toggle(name, within) {
  const box = (within || form()).querySelector(`input[name=${name}]`);
  if (!box) return;
  box.checked = !box.checked;
  box.dispatchEvent(new Event("input", { bubbles: true }));
  if (within && box.checked) step(1);
}

function openBox(id, field) {
  const box = document.getElementById(id);
  if (box) box.open = true;
  const area = document.getElementById(field);
  if (area) area.focus();
}

// -- drafts ---------------------------------------------------------------------------------------
let timer = null, sending = 0;
function keepSoon() { clearTimeout(timer); timer = setTimeout(keepDraft, 700); }
async function keepDraft() {
  const answer = form(), mark = document.getElementById("draft");
  if (!answer || answer.querySelector(".pill.open")) return; // an answer that is changed has no draft
  const mine = ++sending;
  try {
    const token = document.querySelector("meta[name=csrf-token]").content;
    const reply = await fetch(answer.dataset.draft, { method: "POST", body: new FormData(answer), headers: { "X-CSRF-Token": token } });
    if (mine === sending && mark) mark.textContent = reply.ok ? "Kept." : "Not kept yet.";
  } catch { if (mark) mark.textContent = "The server cannot be reached; what you entered is still here."; }
}

function begin() {
  clearTimeout(timer);
  marks = [];
  if (!form()) return;
  seen = Number(form().dataset.seconds) * 1000;
  since = null;
  tick();
  marks = [...document.querySelectorAll(".markable")].map((box) => new Marks(box));
  const known = JSON.parse(form().elements.wrong.value || "[]");
  for (const one of marks) one.read(known);
  told();
  for (const one of questions()) tell(one);
  point(questions().find((one) => !one.querySelector("input:checked")) || questions()[0]);
}

// -- keys: never while typing ---------------------------------------------------------------------
const types = (target) => target.isContentEditable || target.matches("textarea, select, input:not([type=radio]):not([type=checkbox])");

function keyWhileMarking(event) {
  const one = marking();
  const moves = { ArrowLeft: -1, ArrowRight: 1 };
  if (event.key in moves) one.move(moves[event.key], event.shiftKey);
  else if (event.key === " " || event.key === "Enter") one.toggle(...one.reach());
  else if (event.key === "Escape" || event.key === "w") { one.leave(); told(); }
  else if (event.key === "Tab" && marks.length > 1) {
    one.leave();
    marks[(marks.indexOf(one) + 1) % marks.length].enter();
  } else return;
  event.preventDefault();
}

const KEYS = {
  ArrowDown: () => step(1),
  ArrowUp: () => step(-1),
  n: () => current() && toggle("na", current()),
  o: () => toggle("outside"),
  h: () => openBox("harm-box", "harm"),
  b: () => openBox("better-box", "better"),
  w: () => marks[0] && marks[0].enter(),
  u: () => { const undo = document.getElementById("undo"); if (undo) undo.click(); },
};

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  const help = document.getElementById("help");
  if (help.open) return;
  if (key === "Escape" && types(target)) { target.blur(); return; }
  if (types(target) || event.altKey || event.isComposing) return;
  if (form() && marking()) { keyWhileMarking(event); return; }
  if (key === "Enter" && form() && !target.closest("a, button, summary")) {
    if (event.defaultPrevented) return;
    event.preventDefault();
    form().requestSubmit();
    return;
  }
  if (event.ctrlKey || event.metaKey) return;
  if (key === "?") { event.preventDefault(); help.showModal(); return; }
  if (!form() || event.repeat) return;
  if (/^[1-9]$/.test(key)) { event.preventDefault(); choose(Number(key)); }
  else if (key in KEYS) { event.preventDefault(); KEYS[key](); }
});

document.addEventListener("mouseup", () => { if (form()) setTimeout(markByMouse); });
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-help]")) document.getElementById("help").showModal();
  if (event.target.closest("[data-mark]") && marks[0]) marks[0].enter();
  const word = event.target.closest(".word.wrong");
  const one = word && marks.find((each) => each.box.contains(word));
  if (one && getSelection().isCollapsed) one.toggle(Number(word.dataset.at), Number(word.dataset.at));
});
document.addEventListener("input", (event) => {
  if (!form() || !form().contains(event.target)) return;
  const field = event.target.closest("[data-question]");
  if (field) {
    const skip = field.querySelector("input[name=na]");
    if (event.target === skip && skip.checked) for (const one of field.querySelectorAll("input[type=radio]")) one.checked = false;
    if (event.target.type === "radio" && skip) skip.checked = false;
    tell(field);
  }
  keepSoon();
});
document.addEventListener("focusin", (event) => {
  const field = form() && event.target.closest("#answer [data-question]");
  if (field) point(field);
});

// -- saving ---------------------------------------------------------------------------------------
document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.elt.id !== "answer") return;
  tick();
  clearTimeout(timer);
  event.detail.parameters.seconds = (seen / 1000).toFixed(2);
});
document.addEventListener("submit", (event) => {
  if (event.target.id !== "answer") return;
  tick();
  event.target.elements.seconds.value = (seen / 1000).toFixed(2);
}, true);
document.addEventListener("htmx:afterSwap", () => {
  if (location.search) history.replaceState(null, "", location.pathname);
  begin();
  const title = document.getElementById("case-title");
  if (title) title.focus({ preventScroll: true });
  scrollTo({ top: 0 });
});

begin();
