// What every page needs: errors of htmx requests are shown in words, and saved things announced.
"use strict";

const notice = () => document.getElementById("notice");

function say(text, ok) {
  const box = document.createElement("div");
  box.className = ok ? "notice ok" : "notice";
  box.textContent = text;
  notice().replaceChildren(box);
  if (ok) setTimeout(() => box.remove(), 4000);
}

// Every request of htmx carries the page's token (see pages/csrf.py); fetch takes it from here too.
const csrfToken = () => document.querySelector("meta[name=csrf-token]").content;

document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-CSRF-Token"] = csrfToken();
});

document.addEventListener("htmx:beforeSwap", (event) => {
  const answer = event.detail.xhr;
  if (answer.status >= 400 && (answer.getResponseHeader("content-type") || "").includes("html")) {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
    event.detail.target = notice();
    event.detail.swapOverride = "innerHTML";
  } else if (answer.status >= 400) {
    say(`The server answered with an error (${answer.status}). What you wrote is kept; try again.`);
  }
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target === notice()) notice().scrollIntoView({ block: "nearest" });
});

document.addEventListener("htmx:sendError", () => {
  say("The server cannot be reached. What you wrote is kept; try again.");
});

// What a person does clears the notice; what the page asks for by itself does not.
document.addEventListener("htmx:beforeRequest", (event) => {
  const by = event.detail.requestConfig.triggeringEvent;
  if (by && ["submit", "click", "change"].includes(by.type)) notice().replaceChildren();
});

document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (form && form.hasAttribute("data-auto")) form.requestSubmit();
});

// What is shown to be copied is chosen as a whole.
document.addEventListener("focusin", (event) => {
  if (event.target.matches("input[readonly]")) event.target.select();
});

// Ctrl+Enter sends the form one is typing in; Enter alone does where the field asks for it.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.isComposing || !event.target.form) return;
  const alone = event.target.hasAttribute("data-enter") && !event.shiftKey;
  if (event.ctrlKey || event.metaKey || alone) {
    event.preventDefault();
    event.target.form.requestSubmit();
  }
});

// -- the login ends when nobody does anything ---------------------------------------------------
// What the page asks for by itself does not count as somebody being there; reading and typing do.
const DOES = ["submit", "click", "change", "input", "keyup", "keydown"];
document.addEventListener("htmx:configRequest", (event) => {
  const by = event.detail.triggeringEvent;
  if (!by || !DOES.includes(by.type)) event.detail.headers["X-Metier-By-Itself"] = "1";
});

const idleMeta = document.querySelector("meta[name=idle-seconds]");
if (idleMeta) {
  const idleMs = Number(idleMeta.content) * 1000, tellEachMs = Math.min(120000, idleMs / 3);
  let doneAt = Date.now(), toldAt = Date.now();
  const note = () => {
    doneAt = Date.now();
    if (doneAt - toldAt < tellEachMs) return;
    toldAt = doneAt;
    fetch("/alive").catch(() => {});
  };
  for (const kind of ["keydown", "pointerdown", "wheel", "touchmove"]) document.addEventListener(kind, note, { passive: true });
  setInterval(() => {
    if (Date.now() - doneAt < idleMs) return;
    location.replace(`/login?ended=true&next=${encodeURIComponent(location.pathname)}`);
  }, Math.min(5000, idleMs / 4));
}
