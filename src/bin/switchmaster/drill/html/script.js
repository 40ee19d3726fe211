"use strict";
// Titles are shown where the pointer is, with the time and what was done then. Without this script the
// browser shows the titles by itself.
const tip = document.getElementById("tip");
const titled = new WeakMap();
for (const title of document.querySelectorAll(".timeline title")) {
  titled.set(title.parentNode, title.textContent);
  title.remove();
}
const hide = (svg) => {
  tip.style.display = "none";
  svg.querySelector(".cursor").style.visibility = "hidden";
};
for (const svg of document.querySelectorAll(".timeline")) {
  const { from, to, left, width, slice } = svg.dataset;
  const writes = svg.dataset.writes.split(" ");
  const reads = svg.dataset.reads.split(" ");
  const cursor = svg.querySelector(".cursor");
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    const ms = Number(from) + ((x - left) / width) * (to - from);
    const index = Math.floor((ms - from) / slice);
    if (x < left || ms > to || !(index in writes)) return hide(svg);
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    cursor.style.visibility = "visible";
    const lines = [`${ms.toFixed(0)} ms: ${writes[index]} writes and ${reads[index]} reads in ${slice} ms`];
    for (let element = event.target; element && element !== svg; element = element.parentNode) {
      if (titled.has(element)) lines.push(titled.get(element));
    }
    tip.textContent = lines.join("\n");
    tip.style.display = "block";
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    const below = event.clientY + 18 + tip.offsetHeight < document.documentElement.clientHeight;
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 12, room))}px`;
    tip.style.top = `${below ? event.clientY + 18 : Math.max(4, event.clientY - 10 - tip.offsetHeight)}px`;
  });
  svg.addEventListener("pointerleave", () => hide(svg));
}
// Where it does not fit, the promotion is in the middle.
for (const svg of document.querySelectorAll(".timeline")) {
  const { from, to, left, width } = svg.dataset;
  const zero = Number(left) + (-from / (to - from)) * width;
  const scroll = svg.parentNode;
  scroll.scrollLeft = (zero / svg.viewBox.baseVal.width) * scroll.scrollWidth - scroll.clientWidth / 2;
}
document.documentElement.dataset.ready = "yes";
