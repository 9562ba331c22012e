// Sending what somebody said, without leaving the page: what fails stays as it was entered.
"use strict";

const WAIT_MS = 20000;
const parsed = (html) => { const box = document.createElement("template"); box.innerHTML = html; return box.content; };
const headers = () => ({ "HX-Request": "true", "HX-Current-URL": location.href, "X-CSRF-Token": csrfToken() });

// The server's own words where it refused; ``gone``: what was asked for is no longer there.
class Refused extends Error {
  constructor(answer, html) {
    const told = parsed(html).querySelector(".notice");
    super(told ? told.textContent.trim() : `The server answered with an error (${answer.status}).`);
    this.gone = answer.status === 404 || answer.status === 409;
  }
}

// Post a form's content; the HTML of the answer, "" where it is a redirection, which is not followed.
// Raises Refused; where the login ended, the page goes there and this never returns.
async function post(path, body) {
  const answer = await fetch(path, { method: "POST", body, headers: headers(), redirect: "manual", signal: AbortSignal.timeout(WAIT_MS) });
  if (answer.type === "opaqueredirect") return "";
  const html = await answer.text(), login = answer.headers.get("hx-redirect");
  if (login) { location.href = login; await new Promise(() => {}); }
  if (!answer.ok) throw new Refused(answer, html);
  return html;
}

function tellLost(error) {
  const lost = error instanceof Refused ? error.message : "The server cannot be reached, or is slow.";
  say(`${lost} Your answer is kept here; press Enter to try again.`);
}
