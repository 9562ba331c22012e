// Adjudicating by keyboard: take an answer into the form, or mark and choose one's own, write why, save.
"use strict";

const form = () => document.getElementById("decide");
const byId = (id) => document.getElementById(id);
const fields = fieldsIn(form);
const answers = () => [...document.querySelectorAll("[data-take]")];
const letters = () => answers().map((one) => one.dataset.take).filter(Boolean);
const mayDecide = () => form() && !form().querySelector("button.go").disabled;

function take(link) {
  for (const [name, value] of Object.entries(JSON.parse(link.dataset.fill))) fields.fill(name, value);
  spans.again();
  for (const one of document.querySelectorAll(".said-list .taken")) one.classList.remove("taken");
  link.closest("li").classList.add("taken");
  byId("reason").focus();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-take]");
  if (!link || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  take(link);
});

// The form stays as it is until the server has it; then the page of the next case is opened.
let sending = false;
async function decide() {
  if (sending || !form().reportValidity()) return;
  sending = true;
  notice().replaceChildren();
  try {
    await post(form().action, new URLSearchParams(new FormData(form())));
    location.href = form().dataset.next;
  } catch (error) {
    sending = false;
    tellLost(error);
  }
}
document.addEventListener("submit", (event) => {
  if (event.target !== form()) return;
  event.preventDefault();
  decide();
});

if (byId("help")) {
  const press = (id) => byId(id).click();
  keySheet([
    { keys: letters, does: "take that answer into the form, and write why", run: (key) => take(answers().find((one) => one.dataset.take === key)) },
    ...fields.keys,
    ...spans.keys,
    { keys: ["r"], does: "write the reason", when: form, run: () => byId("reason").focus() },
    { keys: ["x"], does: "add it to the guideline as an example", when: () => byId("example"), run: () => press("example") },
    { keys: ["Enter", "Ctrl+Enter"], does: "save and show the next one", when: mayDecide, run: decide },
    { keys: ["Ctrl+Enter"], while: "typing", does: "save and show the next one", when: mayDecide, run: decide },
    { keys: ["n"], does: "leave it for later", when: () => byId("later"), run: () => press("later") },
  ]);
}
if (form()) {
  fields.begin();
  spans.begin(byId("case"));
}
