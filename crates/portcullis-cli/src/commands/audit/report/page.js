"use strict";
// Text search. Everything else works without this script.
(() => {
  // A run without calls has nothing to search.
  if (document.getElementById("find") === null) return;
  const box = document.getElementById("find");
  const input = document.getElementById("text");
  const said = document.getElementById("found");
  const groups = [...document.querySelectorAll(".g")].map((group) => ({
    group, wasOpen: group.open,
    rows: [...group.querySelectorAll("tr.c")].map((row) => ({ row, text: null })),
  }));
  const search = () => {
    const wanted = input.value.trim().toLowerCase();
    let found = 0;
    for (const each of groups) {
      let here = 0;
      for (const one of each.rows) {
        if (wanted !== "" && one.text === null) one.text = one.row.textContent.toLowerCase();
        const hit = wanted === "" || one.text.includes(wanted);
        one.row.classList.toggle("miss", !hit);
        if (hit) here += 1;
      }
      each.group.classList.toggle("miss", here === 0);
      each.group.open = wanted === "" ? each.wasOpen : here > 0 && found < 300;
      found += here;
    }
    said.textContent = wanted === "" ? "" : `${found.toLocaleString("en")} found`;
  };
  let waiting = 0;
  input.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(search, 120); });
  box.hidden = false;
})();
