// The fields of a form that work/macros.html.j2 draws: which one the digits choose in, finding one
// option among many, filling in an answer.
"use strict";

const fieldsIn = (form) => {
  const all = () => (form() ? [...form().querySelectorAll("fieldset[data-field]")] : []);
  const options = (field) => [...field.querySelectorAll(".choice")].filter((one) => !one.hidden);
  const pointed = () => (form() ? all()[Number(form().dataset.at || 0)] : undefined);
  const digits = () => (pointed() ? options(pointed()).slice(0, 9).map((one, place) => String(place + 1)) : []);
  const finder = () => (pointed() && pointed().querySelector("[data-sift]")) || (form() && form().querySelector("[data-sift]"));

  function point(field) {
    if (!form()) return;
    for (const one of form().querySelectorAll(".current")) one.classList.remove("current");
    if (field) field.classList.add("current");
    form().dataset.at = field ? all().indexOf(field) : 0;
  }

  function choose(option, field) {
    if (option.matches("button")) { option.click(); return; }
    const input = option.querySelector("input");
    const off = input.checked && (input.type === "checkbox" || !("required" in field.dataset));
    input.checked = !off;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    const every = all();
    if (input.type === "radio" && !off) point(every[Math.min(every.indexOf(field) + 1, every.length - 1)]);
  }

  function digit(key) {
    const field = pointed(), option = field && options(field)[Number(key) - 1];
    if (option) choose(option, field);
  }

  function number(field) {
    for (const key of field.querySelectorAll(".choice kbd")) key.textContent = "";
    options(field).slice(0, 9).forEach((one, place) => { const key = one.querySelector("kbd"); if (key) key.textContent = place + 1; });
  }

  function sift(box) {
    const field = box.closest("[data-field]"), wanted = box.value.trim().toLowerCase().split(/\s+/);
    for (const one of field.querySelectorAll(".choice")) {
      const text = one.textContent.toLowerCase();
      one.hidden = !wanted.every((word) => text.includes(word));
    }
    number(field);
  }

  function pick(box) {
    const field = box.closest("[data-field]"), first = options(field)[0];
    if (!first) return;
    box.value = "";
    sift(box);
    box.blur();
    choose(first, field);
    first.scrollIntoView({ block: "nearest" });
  }

  // One input's value, or the options that it consists of.
  function fill(name, value) {
    for (const field of form().elements) {
      if (field.name !== name) continue;
      if (field.type === "radio" || field.type === "checkbox") field.checked = [].concat(value).map(String).includes(field.value);
      else field.value = typeof value === "string" ? value : JSON.stringify(value);
    }
  }

  function begin() {
    point(all()[0]);
    for (const field of all()) if (field.querySelector("[data-sift]")) number(field);
  }

  document.addEventListener("input", (event) => { if (event.target.matches("[data-sift]")) sift(event.target); });
  // What is asked for must be in sight: a browser says nothing of a field that it cannot show.
  document.addEventListener("invalid", (event) => {
    const field = event.target.closest("[data-field]"), box = field && field.querySelector("[data-sift]");
    if (!box || !box.value) return;
    box.value = "";
    sift(box);
  }, true);
  document.addEventListener("focusin", (event) => {
    const field = form() && form().contains(event.target) && event.target.closest("fieldset[data-field]");
    if (field) point(field);
  });

  return {
    begin, fill, point,
    keys: [
      { keys: digits, does: "choose in the field marked ⌨, then go on to the next", run: digit },
      { keys: ["/"], does: "find an option by typing", when: finder, run: () => finder().focus() },
      { keys: ["Enter"], while: "typing", only: "[data-sift]", when: finder, does: "take the first option that is found", run: (key, event) => pick(event.target) },
    ],
  };
};
