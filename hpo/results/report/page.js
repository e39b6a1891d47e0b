"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const touched = matchMedia("(pointer: coarse)").matches;
  const SHOWN = 25;
  const PAPER = 660; // pixels of a printed page's width

  // Colours stand in the charts by their names in the style: "@accent".
  function painted(value, style) {
    if (Array.isArray(value)) return value.map((each) => painted(each, style));
    if (value !== null && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, painted(each, style)]));
    return typeof value === "string" && /^@[a-z]+$/.test(value)
      ? style.getPropertyValue(`--${value.slice(1)}`).trim()
      : value;
  }

  function layoutOf(own) {
    const lines = { gridcolor: "@grid", zerolinecolor: "@grid", linecolor: "@edge" };
    return {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: "@text", size: 12, family: "system-ui, sans-serif" },
      margin: { l: 48, r: 14, t: 10, b: 40 },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
      hoverlabel: { bgcolor: "@panel", bordercolor: "@edge", font: { color: "@text" } },
      hovermode: "closest",
      dragmode: touched ? false : "zoom",
      ...own,
      xaxis: { ...lines, ...own.xaxis },
      yaxis: { ...lines, ...own.yaxis },
    };
  }

  function draw(box, width) {
    const chart = charts[box.dataset.chart];
    const style = getComputedStyle(document.documentElement);
    const layout = painted({ ...layoutOf(chart.layout), height: chart.height }, style);
    if (width) layout.width = width;
    const kept = box.data && chart.traces[0].dimensions ? box.data : null;
    const traces = painted(chart.traces, style);
    if (kept)
      traces[0].dimensions.forEach((axis, at) => {
        axis.constraintrange = kept[0].dimensions[at].constraintrange;
      });
    Plotly.react(box, traces, layout, { displayModeBar: false, responsive: !width });
    if (chart.traces[0].dimensions && !box.dataset.heard) {
      box.dataset.heard = "yes";
      box.on("plotly_restyle", () => pick(box));
    }
  }

  const visible = (within) =>
    [...within.querySelectorAll(".plot")].filter((box) => !box.closest("details:not([open])"));

  async function drawAll() {
    for (const box of visible(document)) {
      draw(box);
      await new Promise((next) => setTimeout(next));
    }
    document.documentElement.dataset.drawn = "yes";
  }

  // Parallel coordinates: the trials within the ranges that are picked stay on the leaderboard.
  function pick(box) {
    const trace = box.data[0];
    const ranges = trace.dimensions.map(({ constraintrange: range }) =>
      !range || !range.length ? null : Array.isArray(range[0]) ? range : [range],
    );
    const within = (at) =>
      ranges.every(
        (each, axis) =>
          !each || each.some(([low, high]) => trace.dimensions[axis].values[at] >= low && trace.dimensions[axis].values[at] <= high),
      );
    const picked = ranges.some(Boolean) ? new Set(trace.ids.filter((_, at) => within(at))) : null;
    const board = box.closest("section").querySelector(".board");
    if (board) board.show({ picked });
  }

  function valueOf(row, column) {
    const cell = row.cells[column];
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    return cell.classList.contains("n") ? Number(cell.textContent) : cell.textContent;
  }

  function compared(one, other, sign) {
    if (one === "" || other === "") return (one === "") - (other === "");
    if (typeof one === "number" && typeof other === "number") return sign * (one - other);
    return sign * String(one).localeCompare(String(other), undefined, { numeric: true });
  }

  function sortable(table, after) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) =>
      head.firstElementChild.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = [...table.tBodies[0].rows];
        rows.sort((a, b) => compared(valueOf(a, column), valueOf(b, column), up ? 1 : -1));
        table.tBodies[0].append(...rows);
        after();
      }),
    );
  }

  function leaderboard(board) {
    const table = board.querySelector("table");
    const [search, state, more] = ["input", "select", "button.more"].map((each) => board.querySelector(each));
    const told = board.querySelector(".told");
    let picked = null;
    let all = false;
    board.show = (change) => {
      if ("picked" in change) picked = change.picked;
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const fits = (row) =>
        (!state.value || row.classList.contains(state.value)) &&
        (!picked || picked.has(row.dataset.id)) &&
        words.every((word) => row.textContent.toLowerCase().includes(word));
      let count = 0;
      for (const row of table.tBodies[0].rows) {
        const fitting = fits(row);
        count += fitting;
        row.hidden = !fitting || (!all && count > SHOWN);
      }
      told.textContent = `${count} of ${table.tBodies[0].rows.length} trials${picked ? " (picked among the parameters)" : ""}`;
      more.hidden = count <= SHOWN;
      more.textContent = all ? `Show ${SHOWN}` : `Show all ${count}`;
    };
    search.addEventListener("input", () => board.show({}));
    state.addEventListener("change", () => board.show({}));
    more.addEventListener("click", () => {
      all = !all;
      board.show({});
    });
    sortable(table, () => board.show({}));
    board.show({});
  }

  document.querySelectorAll(".board").forEach(leaderboard);
  document.querySelectorAll("table.plain").forEach((table) => sortable(table, () => {}));
  document.querySelectorAll("details").forEach((each) =>
    each.addEventListener("toggle", () => each.open && visible(each).forEach((box) => draw(box))),
  );
  dark.addEventListener("change", drawAll);
  addEventListener("beforeprint", () => {
    document.documentElement.dataset.paper = "yes";
    visible(document).forEach((box) => draw(box, PAPER));
  });
  addEventListener("afterprint", () => {
    delete document.documentElement.dataset.paper;
    drawAll();
  });
  drawAll();
})();
