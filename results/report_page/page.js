"use strict";

const FIRST = 100; // rows in the page before "Show all": a browser lays out thousands slowly

const order = new Intl.Collator("en", { numeric: true });
const formats = new Map();
const count = (number) => number.toLocaleString("en-GB");

function shown(value, column) {
  if (column.digits === undefined) return value ?? "";
  if (value === null) return "–";
  if (!formats.has(column.digits)) {
    const digits = { minimumFractionDigits: column.digits, maximumFractionDigits: column.digits };
    formats.set(column.digits, new Intl.NumberFormat("en-GB", digits));
  }
  return formats.get(column.digits).format(value);
}

/* "haar -bias n>=2": a test of one line, {row, text} */
function parse(text, columns) {
  const tests = text.toLowerCase().split(/\s+/).filter(Boolean).map((word) => {
    const found = /^([a-z]+)(<=|>=|<|>|=)(-?[0-9.]+)$/.exec(word);
    const at = found ? columns.findIndex((column) => column.name === found[1] && column.digits !== undefined) : -1;
    if (at >= 0) {
      const limit = Number(found[3]);
      const holds = {
        "<": (v) => v < limit, ">": (v) => v > limit, "<=": (v) => v <= limit, ">=": (v) => v >= limit, "=": (v) => v === limit,
      }[found[2]];
      return ({ row }) => row[at] !== null && holds(row[at]);
    }
    const not = word.length > 1 && word.startsWith("-");
    const wanted = not ? word.slice(1) : word;
    return not ? (line) => !line.text.includes(wanted) : (line) => line.text.includes(wanted);
  });
  return (line) => tests.every((test) => test(line));
}

/* Within a group: accuracies after different epochs are in no order */
function compare(at, direction) {
  return (a, b) => {
    const [x, y] = [a.row[at], b.row[at]];
    if (x === y) return 0;
    if (x === null || y === null) return x === null ? 1 : -1; // missing is last, whichever way
    return direction * (typeof x === "string" ? order.compare(x, y) : x - y);
  };
}

function makeTable(section) {
  const { columns, rows, groups, sorted } = JSON.parse(section.querySelector("script[type='application/json']").textContent);
  const lines = rows.map((row, at) => {
    const group = groups.findLastIndex(([, , first]) => first <= at);
    const words = row.filter((value) => typeof value === "string");
    return { row, group, text: `${words.join(" ")} ${groups[group][1]}`.toLowerCase() };
  });
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

  function inOrder() {
    const all = groups.map((_, group) => group); // the most epochs first
    return columns[state.at].name === "epochs" && state.direction > 0 ? all.reverse() : all;
  }

  function groupLine(group, number) {
    const tr = document.createElement("tr");
    tr.className = "group";
    const cell = document.createElement("th");
    cell.scope = "rowgroup";
    cell.colSpan = columns.length;
    const words = document.createElement("span");
    words.textContent = `${groups[group][0]}: ${count(number)} design${number === 1 ? "" : "s"}`;
    cell.append(words);
    tr.append(cell);
    return tr;
  }

  function rowLine(row) {
    const tr = document.createElement("tr");
    row.forEach((value, at) => {
      const cell = document.createElement("td");
      if (columns[at].digits !== undefined) cell.className = "number";
      cell.textContent = shown(value, columns[at]);
      tr.append(cell);
    });
    return tr;
  }

  function draw() {
    headings.forEach((heading, at) => {
      if (at === state.at) heading.setAttribute("aria-sort", state.direction > 0 ? "ascending" : "descending");
      else heading.removeAttribute("aria-sort");
    });
    const kept = lines.filter(parse(input.value, columns));
    let room = state.all ? kept.length : FIRST;
    const bodies = inOrder().map((group) => {
      const here = kept.filter((one) => one.group === group).sort(compare(state.at, state.direction));
      const body = document.createElement("tbody");
      if (here.length && groups.length > 1) body.append(groupLine(group, here.length));
      body.append(...here.slice(0, room).map((one) => rowLine(one.row)));
      room = Math.max(0, room - here.length);
      return body;
    });
    section.querySelectorAll("tbody").forEach((body) => body.remove());
    section.querySelector("table.sortable").append(...bodies);
    more.hidden = state.all || kept.length <= FIRST;
    const part = more.hidden ? "" : `, the first ${FIRST} shown`;
    output.textContent = `${count(kept.length)} of ${count(rows.length)} designs${part}`;
  }
  input.addEventListener("input", draw);
  input.form.addEventListener("submit", (event) => event.preventDefault());
  more.querySelector("button").addEventListener("click", () => { state.all = true; draw(); });
  draw();
}

function makeToggle() {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
  const name = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; name(); });
  system.addEventListener("change", name);
  button.hidden = false;
  name();
}

document.querySelectorAll("section.designs").forEach(makeTable);
makeToggle();
