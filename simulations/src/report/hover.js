"use strict";
// A read-out of the moment under the pointer; the page says all it has to say without it.
document.documentElement.classList.add("js");
for (const run of document.querySelectorAll(".run")) {
  const source = run.querySelector(".numbers");
  const readout = run.querySelector(".readout");
  if (!source || !readout) continue;
  const rows = JSON.parse(source.textContent);
  const credits = (value) => value.toLocaleString("en", { maximumFractionDigits: value < 100 ? 2 : 0 });
  const clock = (ms) => (ms < 60000 ? "" : Math.floor(ms / 60000) + " min ") + ((ms % 60000) / 1000).toFixed(0) + " s";
  const rest = "Point at or touch the charts to read a moment.";
  readout.textContent = rest;
  const words = (row) => {
    const [at, used, out, free, told, far, falsely, rightly, up, led] = row;
    const parts = [["used", credits(used)], ["out", credits(out)], ["available", credits(free)], ["told", credits(told)],
      ["out of reach", credits(far)], ["falsely refused", credits(falsely) + "/s"], ["rightly", credits(rightly) + "/s"],
      ["nodes up", up + (led ? "" : ", no leader")]];
    readout.textContent = "";
    const add = (name, text) => readout.append(name, Object.assign(document.createElement("b"), { textContent: text }), "   ");
    add("at ", clock(at));
    for (const [name, text] of parts) add(name + "\u00a0", text);
  };
  for (const picture of run.querySelectorAll(".course")) {
    const cross = picture.querySelector(".cross");
    const { left, right, end } = Object.fromEntries(Object.entries(picture.dataset).map(([name, text]) => [name, Number(text)]));
    picture.addEventListener("pointermove", (event) => {
      const box = picture.getBoundingClientRect();
      const x = (event.clientX - box.left) * picture.viewBox.baseVal.width / box.width;
      const at = (Math.min(Math.max(x, left), right) - left) / (right - left) * end;
      let low = 0, high = rows.length - 1;
      while (low < high) { const middle = (low + high) >> 1; if (rows[middle][0] < at) low = middle + 1; else high = middle; }
      const row = rows[low];
      const where = left + (right - left) * row[0] / end;
      cross.setAttribute("x1", where); cross.setAttribute("x2", where);
      cross.style.visibility = "visible";
      words(row);
    });
    picture.addEventListener("pointerleave", () => { cross.style.visibility = "hidden"; readout.textContent = rest; });
  }
}
