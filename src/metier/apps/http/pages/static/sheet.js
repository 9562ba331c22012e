// The keys of a desk. One table says what each key does: keys are acted on by it, and the sheet of "?"
// is drawn from it when it opens, so that what is listed is what works just then.
//
//   keySheet([{ keys: ["s"], does: "pass it on", when: () => form(), run: (key, event) => pass() }])
//
// keys   as KeyboardEvent.key names them, after "Ctrl+" (⌘ too) and, of keys with a name, "Shift+";
//        or a function that gives them
// while  where the row belongs: "" (default), "typing", or what mode() says; nothing of "" acts there
// when   whether it does anything now
// not, only   selectors: what has the focus is in none of these, or in one of them
// repeats     whether holding the key down goes on
"use strict";

const types = (target) => target.isContentEditable || target.matches("textarea, select, input:not([type=radio]):not([type=checkbox])");

const keySheet = (() => {
  const shapes = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Backspace: "⌫", Delete: "Del", Escape: "Esc", " ": "Space" };
  const NATIVE = "a, button, summary"; // Enter and Space press these

  function nameOf(event) {
    const shift = event.shiftKey && (event.key.length > 1 || event.key === " ") ? "Shift+" : "";
    return `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${shift}${event.key}`;
  }

  function key(name) {
    const made = document.createElement("kbd");
    made.textContent = shapes[name] || name;
    return made;
  }

  // 1 – 9, or the keys one by one; what all of them are held down with stands before them once.
  function shape(names) {
    const parts = names.map((name) => name.split(/\+(?=.)/)), held = parts[0].slice(0, -1);
    const digits = names.length > 2 && names.every((name, place) => /^[1-9]$/.test(name) && Number(name) === Number(names[0]) + place);
    if (digits) return [key(names[0]), "–", key(names[names.length - 1])];
    if (parts.every((one) => one.slice(0, -1).join() === held.join())) return [...held, ...parts.map((one) => one[one.length - 1])].map(key);
    return parts.flatMap((one, place) => [...(place ? ["or"] : []), ...one.map(key)]);
  }

  function row(names, does) {
    const term = document.createElement("dt"), words = document.createElement("dd");
    term.dataset.keys = JSON.stringify(names);
    term.append(...shape(names).flatMap((part, place) => (place ? [" ", part] : [part])));
    words.textContent = does;
    return [term, words];
  }

  return (rows, { mode = () => "", modes = {} } = {}) => {
    const help = document.getElementById("help");
    const open = () => { draw(); help.showModal(); help.scrollTop = 0; };
    const table = [
      ...rows,
      { keys: ["?"], does: "this sheet", run: open },
      { keys: ["Escape"], while: "typing", does: "leave the field, so that the keys work again", run: (key, event) => event.target.blur() },
    ];
    const groups = { "": "", ...modes, typing: "While you type" };
    const listed = (one) => (one.when && !one.when() ? [] : typeof one.keys === "function" ? one.keys() : one.keys);

    function draw() {
      help.querySelector("[data-sheet]").replaceChildren(...Object.entries(groups).flatMap(([group, title]) => {
        const mine = table.filter((one) => (one.while || "") === group && listed(one).length).map((one) => row(listed(one), one.does));
        if (!mine.length) return [];
        const list = document.createElement("dl"), head = document.createElement("h3");
        list.dataset.while = group;
        list.append(...mine.flat());
        head.textContent = title;
        return title ? [head, list] : [list];
      }));
    }

    document.addEventListener("keydown", (event) => {
      if (help.open || event.isComposing || event.altKey || event.defaultPrevented) return;
      const name = nameOf(event), target = event.target, where = types(target) ? "typing" : mode();
      const found = table.find((one) => (one.while || "") === where && listed(one).includes(name)
        && !(one.not && target.closest(one.not)) && !(one.only && !target.closest(one.only))
        && !(/(Enter| )$/.test(name) && target.closest(NATIVE)));
      if (!found || (event.repeat && !found.repeats)) return;
      event.preventDefault();
      found.run(name, event);
    });
    document.addEventListener("click", (event) => { if (event.target.closest("[data-help]")) open(); });
  };
})();
