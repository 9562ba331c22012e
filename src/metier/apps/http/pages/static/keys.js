// Keys for what a page offers: a key presses, checks or focuses what names it in data-key. Never
// while one types, nor under a dialog; "?" shows the sheet with all keys.
"use strict";

const typing = (where) => where.closest("textarea, select, [contenteditable], input:not([type=radio]):not([type=checkbox])");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
  if (event.key === "Escape" && typing(event.target)) return event.target.blur();
  const sheet = document.getElementById("help");
  if (typing(event.target) || (sheet && sheet.open)) return;
  if (event.key === "?" && sheet) {
    event.preventDefault();
    return sheet.showModal();
  }
  const meant = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!meant || meant.disabled || document.querySelector(".htmx-request")) return;
  event.preventDefault();
  if (meant.matches("select")) meant.focus();
  else meant.click();
});

// A part of the page that was put in another's place begins where the old one was read.
document.addEventListener("htmx:afterSwap", (event) => {
  const title = event.detail.target.isConnected ? null : document.getElementById("row-title");
  if (title) title.focus({ preventScroll: true });
});
