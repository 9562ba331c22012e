// A run while it goes: points come by server-sent events and grow the curves.
"use strict";

const followed = document.getElementById("curves");

if (followed && followed.dataset.events) {
  const source = new EventSource(followed.dataset.events);
  const state = document.getElementById("run-state");
  const latest = document.getElementById("run-latest");

  source.addEventListener("points", (event) => {
    const points = JSON.parse(event.data);
    window.curves.add(points);
    const losses = points.filter((point) => point[0].endsWith("loss"));
    const [name, step, value] = (losses.length ? losses : points).reduce((a, b) => (b[1] >= a[1] ? b : a));
    latest.textContent = `Step ${step}: ${name.replaceAll("_", " ")} ${value === null ? "not a number" : Number(value.toPrecision(4))}`;
  });
  source.addEventListener("state", (event) => {
    const seconds = JSON.parse(event.data).seconds;
    document.getElementById("run-time").textContent = seconds < 60 ? `${seconds.toFixed(0)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  });
  source.addEventListener("end", (event) => {
    source.close();
    const ended = JSON.parse(event.data).state;
    state.textContent = ended;
    state.className = `pill ${ended}`;
    document.body.dispatchEvent(new Event("run-ended"));
  });
}
