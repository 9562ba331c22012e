// Marking stretches of a text: by mouse, or word by word with the keyboard. Places are counted in
// characters (code points), as the server counts them; JavaScript's own are UTF-16 units.
"use strict";

const spans = (() => {
  const words = /[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu;
  let box = null, field = null, chars = [], tokens = [], found = [], cursor = 0, anchor = null;

  const input = () => field.querySelector("[data-spans]");
  const count = (text) => [...text].length;
  const label = (value) => field.querySelector(`[data-mark="${CSS.escape(value)}"]`);
  const named = (value) => { const one = label(value); return one ? one.querySelector(".named").textContent : value; };
  const tint = (value) => { const one = label(value); return one ? one.dataset.tint : "0"; };
  const cut = (start, end) => chars.slice(start, end).join("");

  function begin(desk) {
    box = desk.querySelector("#marks");
    field = desk.querySelector('[data-kind="spans"]');
    if (!box || !field) { box = field = null; return; }
    const text = box.dataset.text;
    chars = [...text];
    tokens = [...text.matchAll(words)].map((one) => {
      const start = count(text.slice(0, one.index));
      return { start, end: start + count(one[0]) };
    });
    found = JSON.parse(input().value || "[]");
    cursor = 0;
    anchor = null;
    draw();
  }

  // The words from where Shift was first held to the cursor.
  function selection() {
    if (!tokens.length) return null;
    const from = Math.min(cursor, anchor === null ? cursor : anchor), to = Math.max(cursor, anchor === null ? cursor : anchor);
    return { start: tokens[from].start, end: tokens[to].end };
  }

  // What the mouse selected in the text; whole words, unless Alt is held.
  function dragged(exact) {
    const picked = getSelection();
    if (!picked.rangeCount || picked.isCollapsed || !box.contains(picked.anchorNode) || !box.contains(picked.focusNode)) return null;
    const range = picked.getRangeAt(0), before = document.createRange();
    before.selectNodeContents(box);
    before.setEnd(range.startContainer, range.startOffset);
    const start = count(before.toString()), end = start + count(range.toString());
    if (exact) return { start, end };
    const inside = tokens.filter((one) => one.end > start && one.start < end);
    return inside.length ? { start: inside[0].start, end: inside[inside.length - 1].end } : null;
  }

  function draw() {
    const at = selection();
    const edges = new Set([0, chars.length]);
    for (const one of found) { edges.add(one.start); edges.add(one.end); }
    if (at) { edges.add(at.start); edges.add(at.end); }
    const places = [...edges].filter((place) => place <= chars.length).sort((a, b) => a - b);
    const pieces = [];
    for (let n = 0; n + 1 < places.length; n += 1) {
      const [start, end] = [places[n], places[n + 1]];
      const over = found.filter((one) => one.start <= start && one.end >= end);
      const here = at && at.start <= start && at.end >= end;
      const piece = document.createElement(over.length ? "mark" : "span");
      piece.textContent = cut(start, end);
      if (over.length) {
        piece.className = `m${tint(over[over.length - 1].label)}${over.length > 1 ? " twice" : ""}`;
        if (over.some((one) => one.end === end)) piece.dataset.label = over.filter((one) => one.end === end).map((one) => named(one.label)).join(", ");
      }
      if (here) piece.classList.add("at");
      pieces.push(piece);
    }
    box.replaceChildren(...pieces);
    list();
  }

  function list() {
    const rows = found.map((one, place) => {
      const row = document.createElement("li"), away = document.createElement("button"), said = document.createElement("span");
      said.textContent = `${named(one.label)}: ${cut(one.start, one.end)}`;
      said.className = "named";
      away.type = "button";
      away.className = "small";
      away.textContent = "Remove";
      away.setAttribute("aria-label", `Remove ${said.textContent}`);
      away.addEventListener("click", () => { found.splice(place, 1); keep(); });
      row.append(said, away);
      return row;
    });
    field.querySelector("[data-marked]").replaceChildren(...rows);
  }

  function tell() {
    const at = selection();
    if (!at) return;
    const over = found.filter((one) => one.start < at.end && one.end > at.start).map((one) => named(one.label));
    field.querySelector("[data-at]").textContent = cut(at.start, at.end) + (over.length ? `, marked ${over.join(", ")}` : "");
  }

  function keep() {
    found.sort((a, b) => a.start - b.start || a.end - b.end);
    input().value = JSON.stringify(found);
    input().dispatchEvent(new Event("input", { bubbles: true }));
    draw();
    tell();
  }

  // Mark what is selected; the same mark again takes it away.
  function mark(value, exact) {
    const at = dragged(exact) || selection();
    if (!at) return;
    const same = found.findIndex((one) => one.start === at.start && one.end === at.end && one.label === value);
    if (same >= 0) found.splice(same, 1);
    else found.push({ ...at, label: value });
    getSelection().removeAllRanges();
    anchor = null;
    keep();
  }

  function unmark() {
    const at = selection();
    if (!at) return;
    const left = found.filter((one) => one.end <= at.start || one.start >= at.end);
    if (left.length === found.length) return;
    found = left;
    keep();
  }

  function move(step, select) {
    if (!tokens.length) return;
    if (select && anchor === null) anchor = cursor;
    if (!select) anchor = null;
    cursor = Math.max(0, Math.min(tokens.length - 1, cursor + step));
    draw();
    tell();
    const here = box.querySelector(".at");
    if (here) here.scrollIntoView({ block: "nearest" });
  }

  // From mark to mark.
  function jump(step) {
    const starts = found.map((one) => tokens.findIndex((token) => token.start >= one.start)).filter((place) => place >= 0);
    const next = step > 0 ? starts.find((place) => place > cursor) : starts.reverse().find((place) => place < cursor);
    if (next !== undefined) move(next - cursor, false);
  }

  function click(event) {
    if (!getSelection().isCollapsed) return;
    const piece = document.caretRangeFromPoint ? document.caretRangeFromPoint(event.clientX, event.clientY) : null;
    if (!piece || !box.contains(piece.startContainer)) return;
    const before = document.createRange();
    before.selectNodeContents(box);
    before.setEnd(piece.startContainer, piece.startOffset);
    const place = count(before.toString());
    const token = tokens.findIndex((one) => one.end > place);
    if (token >= 0) move(token - cursor, event.shiftKey);
  }

  document.addEventListener("click", (event) => {
    if (!box) return;
    const button = event.target.closest("[data-mark]");
    if (button && field.contains(button)) mark(button.dataset.mark, event.altKey);
    else if (box.contains(event.target)) click(event);
  });
  // The label buttons must not take the selection away before the click arrives.
  document.addEventListener("mousedown", (event) => { if (box && event.target.closest("[data-mark]")) event.preventDefault(); });

  const step = (key) => (key.endsWith("ArrowLeft") ? -1 : key.endsWith("Home") ? -tokens.length : key.endsWith("End") ? tokens.length : 1);
  const here = () => box && tokens.length, row = (keys, does, run) => ({ keys, does, run, when: here, not: ".choices, select", repeats: true });

  return {
    begin,
    again: () => { if (box) { found = JSON.parse(input().value || "[]"); draw(); } },
    keys: [
      row(["ArrowLeft", "ArrowRight"], "go from word to word", (key) => move(step(key), false)),
      row(["Shift+ArrowLeft", "Shift+ArrowRight"], "select words", (key) => move(step(key), true)),
      row(["Ctrl+ArrowLeft", "Ctrl+ArrowRight"], "go from mark to mark", (key) => jump(step(key))),
      row(["Home", "End"], "go to the first or the last word", (key) => move(step(key), false)),
      row(["Shift+Home", "Shift+End"], "select up to there", (key) => move(step(key), true)),
      row(["Backspace", "Delete"], "take the mark at the cursor away", unmark),
    ],
  };
})();
