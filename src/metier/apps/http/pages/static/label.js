// The label page: keys, the clock, drafts, and the next item on the screen at once.
"use strict";

const DRAFT = "metier-draft-";
const work = () => document.getElementById("work");
const form = () => document.querySelector("#work > .desk:not([inert]) #answer");
const item = () => { const desk = document.querySelector("#work > .desk:not([inert])"); return desk ? desk.dataset.item : null; };
const fieldsets = () => [...form().querySelectorAll("[data-field]")].filter((field) => field.querySelector("input[type=radio], input[type=checkbox]"));

// -- the clock: seconds that this item was in sight ---------------------------------------------
let seen = 0, since = null;
const tick = () => {
  const now = performance.now();
  if (since !== null) seen += now - since;
  since = document.visibilityState === "visible" ? now : null;
};
document.addEventListener("visibilitychange", tick);

// -- drafts ---------------------------------------------------------------------------------------
function keepDraft() {
  const found = [...new FormData(form()).entries()].filter(([name]) => name !== "seconds");
  localStorage.setItem(DRAFT + item(), JSON.stringify(found));
}

function takeUpDraft() {
  const kept = localStorage.getItem(DRAFT + item());
  if (!kept) return;
  const values = JSON.parse(kept);
  for (const field of form().elements) {
    if (!field.name || field.name === "seconds") continue;
    const mine = values.filter(([name]) => name === field.name).map(([, value]) => value);
    if (field.type === "radio" || field.type === "checkbox") field.checked = mine.includes(field.value);
    else if (mine.length) field.value = mine[0];
  }
  document.getElementById("draft").textContent = "Your draft from before is back.";
}

// -- which field the digits choose in -------------------------------------------------------------
function point(field) {
  for (const one of form().querySelectorAll(".current")) one.classList.remove("current");
  if (field) field.classList.add("current");
}

function begin() {
  const desk = document.querySelector("#work > .desk");
  seen = desk ? Number(desk.dataset.seconds) * 1000 : 0; // changing an answer adds to its time
  since = null;
  tick();
  if (!form()) return;
  takeUpDraft();
  point(fieldsets()[0]);
}

function choose(digit) {
  const field = form().querySelector(".current") || fieldsets()[0];
  const option = field && field.querySelectorAll("input")[digit - 1];
  if (!option) return;
  option.checked = option.type === "checkbox" ? !option.checked : true;
  option.dispatchEvent(new Event("input", { bubbles: true }));
  const all = fieldsets();
  if (option.type === "radio") point(all[Math.min(all.indexOf(field) + 1, all.length - 1)]);
}

// -- keys: never while typing ---------------------------------------------------------------------
const types = (target) => target.isContentEditable || target.matches("textarea, select, input:not([type=radio]):not([type=checkbox])");

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  const help = document.getElementById("help");
  if (help.open) return;
  if (key === "Escape" && types(target)) { target.blur(); return; }
  if (types(target) || event.altKey || event.isComposing) return;
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
  else if (key === "s") { event.preventDefault(); document.getElementById("skip").requestSubmit(); }
  else if (key === "u" && document.getElementById("undo")) { event.preventDefault(); document.getElementById("undo").click(); }
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-help]")) document.getElementById("help").showModal();
});
document.addEventListener("input", (event) => { if (form() && form().contains(event.target)) keepDraft(); });
document.addEventListener("focusin", (event) => {
  const field = form() && event.target.closest("#answer fieldset[data-field]");
  if (field) point(field);
});

// -- saving: the next item is shown at once, and put back when saving fails -----------------------
document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.elt.id !== "answer") return;
  tick();
  event.detail.parameters.seconds = (seen / 1000).toFixed(2);
});

const closes = (element) => element.id === "answer" || element.id === "skip";
const putBack = () => {
  for (const shown of document.querySelectorAll(".desk[inert]")) shown.remove();
  for (const hidden of document.querySelectorAll("#work > .desk[hidden]")) hidden.hidden = false;
};

document.addEventListener("htmx:beforeRequest", (event) => {
  if (!closes(event.detail.elt)) return;
  const next = document.querySelector("#peek template");
  const desk = document.querySelector("#work > .desk");
  if (!next || !desk) return;
  const shown = next.content.firstElementChild.cloneNode(true);
  shown.inert = true;
  shown.setAttribute("aria-busy", "true");
  desk.hidden = true;
  desk.after(shown);
});
document.addEventListener("htmx:afterRequest", (event) => {
  const { requestConfig } = event.detail; // the form itself may be gone from the page by now
  if (!closes(requestConfig.elt)) return;
  if (!event.detail.successful || event.detail.xhr.status >= 400) { putBack(); return; }
  localStorage.removeItem(DRAFT + requestConfig.path.split("/")[2]);
  if (location.search) history.replaceState(null, "", "/label");
});
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id !== "work") return;
  begin();
  const title = document.getElementById("asked-title");
  if (title) title.focus({ preventScroll: true });
  scrollTo({ top: 0 });
});

begin();
