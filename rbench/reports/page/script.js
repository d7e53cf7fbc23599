"use strict";
(() => {
  const form = document.querySelector(".filters");
  const groups = [...document.querySelectorAll(".group")];
  const rows = [...document.querySelectorAll(".row")];
  const told = form.querySelector("output");
  const lines = new Map([...document.querySelectorAll(".overview [data-table]")].map((line) => [line.dataset.table, line]));
  const points = new Map();
  for (const point of document.querySelectorAll(".plot a")) {
    const id = point.getAttribute("href").slice(1);
    points.set(id, [...(points.get(id) ?? []), point]);
  }
  const original = new Map(rows.map((row, place) => [row, place]));
  let sorting = "";

  const cell = (row, key) => row.querySelector(`.main > [data-key="${key}"]`);
  const details = (row) => row.querySelector(".more details");

  const compare = (key, downwards) => (first, second) => {
    // A table of one backbone has no column for it.
    const [a, b] = [first, second].map((row) => cell(row, key)?.dataset.value);
    // What has no value stands last, whichever way is up.
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined) || original.get(first) - original.get(second);
    const [x, y] = [Number(a), Number(b)];
    const order = a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y) ? x - y : a.localeCompare(b);
    return (downwards ? -order : order) || original.get(first) - original.get(second);
  };

  const sort = (spec) => {
    if (!spec && !sorting) return;
    const [key, way] = spec.split(":");
    const known = [...document.querySelectorAll("thead th[data-key]")].some((head) => head.dataset.key === key);
    sorting = known ? spec : "";
    for (const group of groups) {
      const table = group.querySelector("table");
      const own = rows.filter((row) => group.contains(row));
      own.sort(known ? compare(key, way === "down") : (a, b) => original.get(a) - original.get(b));
      table.append(...own);
      for (const head of group.querySelectorAll("thead th[data-key]")) {
        if (known && head.dataset.key === key) head.setAttribute("aria-sort", way === "down" ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      }
    }
  };

  // What can be searched is gathered at the first search, not when the page opens.
  let known = null;
  const gathered = () => new Map(groups.flatMap((group) => {
    const own = [...group.querySelectorAll("h2, .from")].map((one) => one.textContent).join(" ");
    return [...group.querySelectorAll(".row")].map((row) => [row, [
      own, row.dataset.flag, row.querySelector(".main").textContent, ...[...row.querySelectorAll(".cell > h4")].map((one) => one.textContent),
    ].join(" ").toLowerCase()]);
  }));
  const found = (row, text) => {
    known ??= gathered();
    return text.toLowerCase().split(/\s+/).every((word) => known.get(row).includes(word));
  };

  const matches = (row, wanted) => [...wanted].every(([name, value]) => {
    if (!value) return true;
    if (name === "q") return found(row, value);
    if (name === "flag") return row.dataset.flag.split(" ").includes(value);
    return row.dataset[name] === value;
  });

  const filter = () => {
    const wanted = new FormData(form);
    for (const row of rows) {
      row.hidden = !matches(row, wanted);
      for (const point of points.get(row.id) ?? []) point.toggleAttribute("hidden", row.hidden);
    }
    for (const group of groups) {
      group.hidden = !group.querySelector(".row:not([hidden])");
      const line = lines.get(group.id);
      if (line) line.hidden = group.hidden;
    }
    const shown = rows.filter((row) => !row.hidden).length;
    told.textContent = shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
  };

  const state = () => {
    const kept = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    if (sorting) kept.set("sort", sorting);
    const open = rows.filter((row) => details(row).open).map((row) => row.id);
    if (open.length) kept.set("open", open.join(","));
    return kept.toString();
  };

  const remember = () => history.replaceState(null, "", `#${state()}`);

  const restore = () => {
    const text = location.hash.slice(1);
    const target = text && !text.includes("=") ? document.getElementById(text) : null;
    if (target) {
      if (target.matches(".row")) details(target).open = true;
      if (target.matches("details")) target.open = true;
      target.scrollIntoView();
      return;
    }
    const kept = new URLSearchParams(text);
    for (const field of form.elements) if (field.name) field.value = kept.get(field.name) ?? "";
    for (const field of form.querySelectorAll("select")) if (field.selectedIndex < 0) field.value = "";
    sort(kept.get("sort") ?? "");
    for (const id of (kept.get("open") ?? "").split(",")) {
      const row = rows.find((one) => one.id === id);
      if (row) details(row).open = true;
    }
    filter();
  };

  for (const head of document.querySelectorAll("thead th[data-key]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "sort by this column";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const { key } = head.dataset;
      const first = head.classList.contains("number") && key !== "rank" ? "down" : "up";
      const other = first === "down" ? "up" : "down";
      const now = head.getAttribute("aria-sort") && sorting.startsWith(`${key}:`) ? sorting.split(":")[1] : "";
      sort(now === first ? `${key}:${other}` : now === other ? "" : `${key}:${first}`);
      remember();
    });
  }
  form.addEventListener("input", () => { filter(); remember(); });
  form.addEventListener("reset", () => setTimeout(() => { sort(""); filter(); remember(); }));
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const row of rows) {
    details(row).addEventListener("toggle", remember);
    row.querySelector(".main").addEventListener("click", (event) => {
      if (!event.target.closest("a, button") && getSelection().isCollapsed) details(row).open = !details(row).open;
    });
    const light = (lit) => () => { for (const point of points.get(row.id) ?? []) point.classList.toggle("lit", lit); };
    row.addEventListener("mouseenter", light(true));
    row.addEventListener("mouseleave", light(false));
  }
  window.addEventListener("hashchange", restore);
  form.hidden = rows.length < 2;
  document.documentElement.classList.add("scripted");
  restore();
  if (!told.textContent) filter();
})();
