(() => {
  "use strict";
  const table = document.getElementById("leaderboard");
  if (!table) return;
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const order = (row, column) => row.cells[column].dataset.order;

  function sort(column, direction) {
    const numeric = heads[column].dataset.kind === "number";
    const sign = direction === "ascending" ? 1 : -1;
    const rows = [...body.rows];
    rows.sort((one, other) => {
      const a = order(one, column), b = order(other, column);
      // What has no value stands at the end, whichever way the others go.
      if (a === "" || b === "") return (a === "") - (b === "");
      return sign * (numeric ? Number(a) - Number(b) : a.localeCompare(b, undefined, { numeric: true }));
    });
    body.append(...rows);
    heads.forEach((head, index) => head.setAttribute("aria-sort", index === column ? direction : "none"));
  }

  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const first = head.dataset.first;
      const other = first === "ascending" ? "descending" : "ascending";
      sort(column, now === first ? other : first);
    });
  });
})();
