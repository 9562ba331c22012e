// The desk of a review panel: marked words, questions, drafts, keys. The next item comes from ahead.js.
"use strict";

const form = () => document.getElementById("answer");
const questions = () => [...form().querySelectorAll("[data-question]")];
const current = () => form().querySelector("[data-question].current") || questions()[0];

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

  forget() { this.cursor = this.anchor = -1; this.paint(); }

  leave() { this.forget(); this.box.blur(); }

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
function other() {
  const one = marking();
  one.leave();
  marks[(marks.indexOf(one) + 1) % marks.length].enter();
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
const draft = () => document.getElementById("draft");
function keepSoon() {
  desk.here().dirty = true;
  clearTimeout(timer);
  timer = setTimeout(keepDraft, 700);
}

async function keepDraft() {
  const here = desk.here();
  if (!here || !here.dataset.key || "again" in here.dataset) return; // an answer that is changed has no draft
  const mine = ++sending;
  try {
    const reply = await fetch(`${desk.url()}/${here.dataset.key}/draft`, { method: "POST", body: new FormData(form()), headers: headers() });
    if (mine === sending && desk.here() === here) draft().textContent = reply.ok ? "Kept." : "Not kept yet.";
  } catch { if (desk.here() === here) draft().textContent = "The server cannot be reached; what you entered is still here."; }
}

// -- an item comes on the screen, and is sent --------------------------------------------------------
function readMarks() {
  marks = [...document.querySelectorAll(".markable")].map((box) => new Marks(box));
  const known = JSON.parse(form().elements.wrong.value || "[]");
  for (const one of marks) one.read(known);
  told();
}

const desk = ahead({
  root: "panel-work",
  item: ".panel-item",
  begin() {
    readMarks();
    for (const one of questions()) tell(one);
    point(questions().find((one) => !one.querySelector("input:checked")) || questions()[0]);
  },
  back: readMarks,
  keep: keepDraft,
  told() { if (location.search) history.replaceState(null, "", location.pathname); },
});

function conclude(of, body) {
  clearTimeout(timer);
  sending += 1;
  desk.conclude(of.getAttribute("action"), body);
}

const mayBeSaved = () => form() && form().querySelector("button.go"); // older answers cannot be changed
const save = () => desk.once(() => {
  if (!mayBeSaved() || !form().reportValidity()) return;
  const body = new FormData(form());
  body.set("seconds", clock.seconds().toFixed(2));
  conclude(form(), body);
});

document.addEventListener("submit", (event) => {
  if (event.target === form()) { event.preventDefault(); save(); }
  else if (event.target.id === "pass") { event.preventDefault(); desk.once(() => conclude(event.target, new FormData(event.target))); }
});

// -- keys ------------------------------------------------------------------------------------------
const undo = () => document.getElementById("undo");
const points = () => (form() && current() ? [...current().querySelectorAll("input[type=radio]")].slice(0, 9).map((one, place) => String(place + 1)) : []);
const box = (name, within) => within && within.querySelector(`input[name=${name}]`);
const part = (id) => form() && document.getElementById(id);
const has = (id) => () => part(id);
const markable = () => form() && part("marks") && marks.some((one) => one.words.length);
const leave = () => { marking().leave(); told(); };
const marked = (keys, does, run, when = markable) => ({ keys, does, run, when, while: "marking", repeats: true });

keySheet([
  { keys: points, does: "answer the question marked ⌨, and go to the next", run: (key) => choose(Number(key)) },
  { keys: ["ArrowUp", "ArrowDown"], does: "go to another question", when: () => form() && questions().length, run: (key) => step(key === "ArrowUp" ? -1 : 1) },
  { keys: ["n"], does: "not applicable", when: () => form() && box("na", current()), run: () => toggle("na", current()) },
  { keys: ["o"], does: "not my field", when: () => box("outside", form()), run: () => toggle("outside") },
  { keys: ["h"], does: "potential harm: say what could happen", when: has("harm-box"), run: () => openBox("harm-box", "harm") },
  { keys: ["w"], does: "mark wrong words", when: markable, run: () => marks.find((one) => one.words.length).enter() },
  { keys: ["b"], does: "write the better reply", when: has("better"), run: () => openBox("better-box", "better") },
  { keys: ["Enter", "Ctrl+Enter"], does: "save and show the next one", when: mayBeSaved, run: save },
  { keys: ["Ctrl+Enter"], while: "typing", does: "save and show the next one", when: mayBeSaved, run: save },
  { keys: ["u"], does: "back to your previous answer", when: undo, run: () => undo().click() },
  marked(["ArrowLeft", "ArrowRight"], "go from word to word", (key) => marking().move(key === "ArrowLeft" ? -1 : 1, false)),
  marked(["Shift+ArrowLeft", "Shift+ArrowRight"], "take more words, or fewer", (key) => marking().move(key.endsWith("Left") ? -1 : 1, true)),
  marked([" ", "Enter"], "mark them as wrong; once more takes the mark away", () => marking().toggle(...marking().reach())),
  marked(["Tab"], "go to the other reply", other, () => markable() && marks.length > 1),
  marked(["Escape", "w"], "leave the words", leave),
], { mode: () => (form() && marking() ? "marking" : ""), modes: { marking: "While you mark words" } });

document.addEventListener("mouseup", () => { if (form()) setTimeout(markByMouse); });
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-mark]") && marks[0]) marks[0].enter();
  const word = event.target.closest(".word.wrong");
  const one = word && marks.find((each) => each.box.contains(word));
  if (one && getSelection().isCollapsed) one.toggle(Number(word.dataset.at), Number(word.dataset.at));
});
document.addEventListener("input", (event) => {
  if (!form() || !form().contains(event.target)) return;
  const field = event.target.closest("[data-question]");
  if (field) {
    const skip = box("na", field);
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
// Whoever goes elsewhere marks no more: the keys are those of the desk again.
document.addEventListener("focusout", (event) => {
  const one = form() && marking();
  if (one && event.target === one.box && event.relatedTarget && !one.box.contains(event.relatedTarget)) { one.forget(); told(); }
});

desk.start();
