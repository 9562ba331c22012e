// Adjudicating by keyboard: take an answer into the form, write why, save, next.
"use strict";

const form = () => document.getElementById("decide");
const types = (target) => target.isContentEditable || target.matches("textarea, select, input:not([type=radio]):not([type=checkbox])");

function fill(values) {
  for (const field of form().elements) {
    const mine = values[field.name];
    if (!mine) continue;
    if (field.type === "radio" || field.type === "checkbox") field.checked = mine.includes(field.value);
    else field.value = mine[0] ?? "";
  }
}

function take(link) {
  fill(JSON.parse(link.dataset.fill));
  for (const one of document.querySelectorAll(".said-list .taken")) one.classList.remove("taken");
  link.closest("li").classList.add("taken");
  document.getElementById("reason").focus();
}

const choices = () => [...form().querySelectorAll("fieldset[data-field]")];

function point(field) {
  for (const one of form().querySelectorAll(".current")) one.classList.remove("current");
  if (field) field.classList.add("current");
}

function choose(digit) {
  const field = form().querySelector(".current");
  const option = field && field.querySelectorAll("input[type=radio], input[type=checkbox]")[digit - 1];
  if (!option) return;
  option.click();
  const all = choices();
  if (option.type === "radio") point(all[Math.min(all.indexOf(field) + 1, all.length - 1)]);
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-help]")) document.getElementById("help").showModal();
  const link = event.target.closest("[data-take]");
  if (!link || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  take(link);
});

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  const help = document.getElementById("help");
  if (!help || help.open || event.isComposing) return;
  if (key === "Escape" && types(target)) { target.blur(); return; }
  if (key === "Enter" && (event.ctrlKey || event.metaKey) && form()) { event.preventDefault(); form().requestSubmit(); return; }
  if (types(target) || event.altKey || event.ctrlKey || event.metaKey || event.repeat) return;
  if (key === "?") { event.preventDefault(); help.showModal(); return; }
  if (!form()) return;
  const link = /^[a-z]$/.test(key) ? document.querySelector(`[data-take="${key}"]`) : null;
  if (link) { event.preventDefault(); take(link); }
  else if (/^[1-9]$/.test(key)) { event.preventDefault(); choose(Number(key)); }
  else if (key === "r") { event.preventDefault(); document.getElementById("reason").focus(); }
  else if (key === "x" && document.getElementById("example")) { event.preventDefault(); document.getElementById("example").click(); }
  else if (key === "n" && document.getElementById("later")) { event.preventDefault(); document.getElementById("later").click(); }
  else if (key === "Enter" && !target.closest("a, button, summary")) { event.preventDefault(); form().requestSubmit(); }
});

document.addEventListener("focusin", (event) => {
  const field = form() && event.target.closest("#decide fieldset[data-field]");
  if (field) point(field);
});

if (form()) point(choices()[0]);
