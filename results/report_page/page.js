"use strict";

const FIRST = 300; // rows in the page before "Show all": a browser lays out thousands slowly

function shown(value, column) {
  if (value === null) return "–";
  if (column.digits === undefined) return value;
  return value.toLocaleString("en-GB", { minimumFractionDigits: column.digits, maximumFractionDigits: column.digits });
}

/* "haar -bias n>=2": a test of one row */
function parse(text, columns) {
  const tests = text.toLowerCase().split(/\s+/).filter(Boolean).map((word) => {
    const found = /^([a-z]+)(<=|>=|<|>|=)(-?[0-9.]+)$/.exec(word);
    const at = found ? columns.findIndex((column) => column.name === found[1] && column.digits !== undefined) : -1;
    if (at >= 0) {
      const limit = Number(found[3]);
      const holds = {
        "<": (v) => v < limit, ">": (v) => v > limit, "<=": (v) => v <= limit, ">=": (v) => v >= limit, "=": (v) => v === limit,
      }[found[2]];
      return (row) => row[at] !== null && holds(row[at]);
    }
    const not = word.length > 1 && word.startsWith("-");
    const wanted = not ? word.slice(1) : word;
    const within = (row) => row.some((value) => typeof value === "string" && value.toLowerCase().includes(wanted));
    return not ? (row) => !within(row) : within;
  });
  return (row) => tests.every((test) => test(row));
}

function compare(at, direction) {
  return (a, b) => {
    const [x, y] = [a[at], b[at]];
    if (x === y) return 0;
    if (x === null || y === null) return x === null ? 1 : -1; // missing is last, whichever way
    const order = typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y;
    return direction * order;
  };
}

function makeTable(section) {
  const { columns, rows, sorted } = JSON.parse(section.querySelector("script[type='application/json']").textContent);
  const input = section.querySelector("input");
  const output = section.querySelector("output");
  const more = section.querySelector(".more");
  const state = { at: sorted.column, direction: -1, all: false };
  const headings = columns.map((column, at) => {
    const heading = document.createElement("th");
    heading.scope = "col";
    if (column.digits !== undefined) heading.className = "number";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = column.title;
    button.addEventListener("click", () => {
      const first = column.digits === undefined ? 1 : -1;
      state.direction = state.at === at ? -state.direction : first;
      state.at = at;
      draw();
    });
    heading.append(button);
    return heading;
  });
  const line = document.createElement("tr");
  line.append(...headings);
  section.querySelector("thead").append(line);

  function draw() {
    headings.forEach((heading, at) => {
      if (at === state.at) heading.setAttribute("aria-sort", state.direction > 0 ? "ascending" : "descending");
      else heading.removeAttribute("aria-sort");
    });
    const kept = rows.filter(parse(input.value, columns)).sort(compare(state.at, state.direction));
    const visible = state.all ? kept : kept.slice(0, FIRST);
    const body = document.createDocumentFragment();
    for (const row of visible) {
      const tr = document.createElement("tr");
      row.forEach((value, at) => {
        const cell = document.createElement("td");
        if (columns[at].digits !== undefined) cell.className = "number";
        cell.textContent = shown(value, columns[at]);
        tr.append(cell);
      });
      body.append(tr);
    }
    section.querySelector("tbody").replaceChildren(body);
    const part = visible.length < kept.length ? `, the first ${visible.length} shown` : "";
    output.textContent = `${kept.length.toLocaleString("en-GB")} of ${rows.length.toLocaleString("en-GB")} designs${part}`;
    more.hidden = visible.length === kept.length;
  }
  input.addEventListener("input", draw);
  input.form.addEventListener("submit", (event) => event.preventDefault());
  more.querySelector("button").addEventListener("click", () => { state.all = true; draw(); });
  draw();
}

function makeToggle() {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const name = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; name(); });
  button.hidden = false;
  name();
}

document.querySelectorAll("section.designs").forEach(makeTable);
makeToggle();
