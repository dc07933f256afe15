"use strict";
// The page of a run.
(() => {
  const { axis, bytes, color, count, draw, flat, histogram, key, matrix, mixed, number, plain, seconds } = Plots;
  const { layers } = Plots.data();
  const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
  const chosen = (id) => document.getElementById(id)?.value;

  function tokens({ tokens: loads, lane }) {
    const ids = loads.map((_, expert) => expert);
    if (chosen("order") === "load") ids.sort((a, b) => loads[b] - loads[a] || a - b);
    const mean = sum(loads) / loads.length;
    draw("tokens", () => ({
      data: {
        labels: ids,
        datasets: [
          { ...flat, type: "bar", label: "tokens", backgroundColor: color("first"), data: ids.map((id) => loads[id]) },
          {
            type: "line",
            label: "mean",
            borderColor: color("second"),
            backgroundColor: color("second"),
            borderWidth: 1.5,
            borderDash: [6, 4],
            pointRadius: 0,
            data: ids.map(() => mean),
          },
        ],
      },
      options: {
        scales: { x: axis("expert", null, { grid: { display: false } }), y: axis("tokens", count, { beginAtZero: true }) },
        plugins: {
          tooltip: {
            callbacks: {
              title: ([item]) => "expert " + item.label + (lane?.[ids[item.dataIndex]] >= 0 ? ", lane " + lane[ids[item.dataIndex]] : ""),
              label: (item) =>
                item.dataset.label + ": " + plain.format(item.parsed.y) +
                (item.datasetIndex === 0 && mean > 0 ? " (" + number(item.parsed.y / mean) + " × mean)" : ""),
            },
          },
        },
      },
    }));
  }

  function lorenz({ tokens: loads }) {
    const total = sum(loads) || 1;
    let below = 0;
    const curve = [{ x: 0, y: 0 }];
    [...loads].sort((a, b) => a - b).forEach((load, i) => {
      below += load;
      curve.push({ x: (100 * (i + 1)) / loads.length, y: (100 * below) / total });
    });
    const percent = (value) => value + " %";
    draw("lorenz", () => ({
      type: "line",
      data: {
        datasets: [
          { label: "this layer", borderColor: color("first"), backgroundColor: color("first") + "22", fill: true, borderWidth: 2, pointRadius: 0, data: curve },
          { label: "even", borderColor: color("muted"), backgroundColor: color("muted"), borderWidth: 1, borderDash: [6, 4], pointRadius: 0, data: [{ x: 0, y: 0 }, { x: 100, y: 100 }] },
        ],
      },
      options: {
        interaction: { mode: "nearest", axis: "x", intersect: false },
        scales: {
          x: axis("experts, least used first", percent, { type: "linear", min: 0, max: 100 }),
          y: axis("share of all routes", percent, { min: 0, max: 100 }),
        },
        plugins: {
          tooltip: {
            filter: (item) => item.datasetIndex === 0,
            callbacks: {
              title: () => "",
              label: ({ parsed }) => number(parsed.x) + " % of the experts have " + number(parsed.y) + " % of the routes",
            },
          },
        },
      },
    }));
  }

  function lanes({ lanes: loads }) {
    const figure = document.getElementById("lanes")?.closest("figure");
    if (!figure) return;
    figure.hidden = !loads;
    if (!loads) return;
    const bars = (label, name, values) => ({ ...flat, categoryPercentage: 0.8, label, backgroundColor: color(name), data: values });
    draw("lanes", () => ({
      type: "bar",
      data: {
        labels: loads.placed.map((_, lane) => lane),
        datasets: [bars("in equal ranges", "muted", loads.linear), bars("as placed", "first", loads.placed)],
      },
      options: {
        scales: { x: axis("lane", null, { grid: { display: false } }), y: axis("assignments", count, { beginAtZero: true }) },
        plugins: { tooltip: { callbacks: { title: ([item]) => "lane " + item.label } } },
      },
    }));
  }

  function pairs({ tokens: loads, pairs: { per, cells } }) {
    const side = Math.ceil(loads.length / per);
    const total = sum(cells);
    // The share of a block of experts, and the part of it that a block's pairs with itself have.
    const share = new Float64Array(side);
    const own = new Float64Array(side);
    const all = sum(loads) || 1;
    loads.forEach((load, expert) => {
      const block = Math.floor(expert / per);
      own[block] += (load / all) ** 2;
      share[block] += load / all;
    });
    const norm = (1 - sum(own)) / 2;
    const expected = (row, column) =>
      norm <= 0 ? 0 : (total * (row === column ? (share[row] ** 2 - own[row]) / 2 : share[row] * share[column])) / norm;
    const cell = (row, column) => cells[Plots.triangle(side, row, column)];
    const most = cells.reduce((a, b) => Math.max(a, b), 0);
    const lift = chosen("measure") === "lift";
    const blank = (row, column) => per === 1 && row === column;
    const name = (block) =>
      per === 1 ? "expert " + block : "experts " + block * per + "–" + (Math.min((block + 1) * per, loads.length) - 1);
    key("pairs", lift ? "diverging" : "sequential", lift ? "¼ ×" : "0", lift ? "4 × expected" : count(most) + " tokens");
    document.getElementById("pairs").parentElement.classList.add("square");
    matrix("pairs", {
      rows: side,
      columns: side,
      scaleX: { from: per === 1 ? -0.5 : 0, step: per },
      scaleY: { from: per === 1 ? -0.5 : 0, step: per },
      labelX: "expert",
      labelY: "expert",
      ramp: lift ? ["less", "even", "more"] : ["low", "middle", "high"],
      part(row, column) {
        if (blank(row, column)) return null;
        const n = cell(row, column);
        if (!lift) return most ? Math.sqrt(n / most) : 0;
        const of = expected(row, column);
        return of > 0 ? 0.5 + Math.log2(Math.max(n, of / 16) / of) / 4 : null;
      },
      tell(row, column) {
        if (blank(row, column)) return name(row);
        const n = cell(row, column);
        const of = expected(row, column);
        const together = row === column ? name(row) + " among themselves" : name(row) + " and " + name(column);
        return together + ": " + plain.format(n) + (per > 1 ? " pairs" : " tokens") + (of > 0 ? ", " + number(n / of) + " × expected" : "");
      },
    });
  }

  function router({ entropy, weights, topK }) {
    if (document.getElementById("entropy")) {
      histogram("entropy", { ...entropy, series: [{ counts: entropy.counts, fill: () => color("first") }], x: "bits", y: "tokens" });
    }
    histogram("weights", {
      ...weights,
      series: weights.counts.map((counts, slot) => ({
        label: "slot " + slot,
        counts,
        fill: () => "rgb(" + mixed(color("first"), color("low"), (0.85 * slot) / topK).join(",") + ")",
      })),
      x: "weight",
      y: "routes",
    });
  }

  function stages({ stages: steps, seconds: whole }) {
    const rows = steps.map(({ stage, seconds: took, shuffle_bytes: moved }) => ({ stage, took, moved }));
    rows.push({ stage: "other", took: Math.max(0, whole - sum(rows.map((row) => row.took))), moved: 0 });
    let from = 0;
    const spans = rows.map(({ took }) => [from, (from += took)]);
    const bars = (id, values, format, title, tell, ticks) =>
      draw(id, () => ({
        type: "bar",
        data: {
          labels: rows.map((row) => row.stage),
          datasets: [{ ...flat, barPercentage: 0.75, backgroundColor: rows.map((row) => color(row.stage === "other" ? "muted" : "first")), data: values }],
        },
        options: {
          indexAxis: "y",
          scales: { x: axis(title, format, { beginAtZero: true, ticks }), y: axis("", null, { grid: { display: false }, ticks: { color: color("text"), autoSkip: false } }) },
          plugins: { tooltip: { callbacks: { label: (item) => tell(rows[item.dataIndex]) } } },
        },
      }));
    bars("stages", spans, seconds, "since the start", (row) => seconds(row.took) + ", " + number((100 * row.took) / whole) + " %");
    // Binary units want steps of powers of two.
    const step = 2 ** Math.ceil(Math.log2(Math.max(...rows.map((row) => row.moved), 1) / 5));
    bars("bytes", rows.map((row) => row.moved), bytes, "shuffled", (row) => bytes(row.moved), { stepSize: step });
  }

  function rates({ tokens: loads, millis, flops }) {
    if (!document.getElementById("rates") || !flops) return;
    const points = loads
      .map((n, expert) => ({ x: n, y: millis[expert] > 0 ? (flops * n) / millis[expert] / 1e6 : 0, expert }))
      .filter((point) => point.y > 0);
    const all = (flops * sum(loads)) / sum(millis) / 1e6;
    const xs = points.map((point) => point.x);
    const ends = [Math.min(...xs), Math.max(...xs)];
    const type = ends[1] > 50 * ends[0] ? "logarithmic" : "linear";
    draw("rates", () => ({
      type: "scatter",
      data: {
        datasets: [
          { label: "expert", backgroundColor: color("first") + "99", borderWidth: 0, pointRadius: 3.5, data: points },
          { type: "line", label: "all experts together", borderColor: color("second"), backgroundColor: color("second"), borderWidth: 1.5, borderDash: [6, 4], pointRadius: 0, data: ends.map((x) => ({ x, y: all })) },
        ],
      },
      options: {
        interaction: { mode: "nearest", intersect: true },
        scales: { x: axis("tokens of the expert", count, { type }), y: axis("GFLOP/s", number, { beginAtZero: true }) },
        plugins: {
          tooltip: {
            callbacks: {
              label: ({ raw, datasetIndex }) =>
                datasetIndex ? "all: " + number(all) + " GFLOP/s" : "expert " + raw.expert + ": " + plain.format(raw.x) + " tokens, " + number(raw.y) + " GFLOP/s",
            },
          },
        },
      },
    }));
  }

  function overview(choose) {
    const rows = layers.map(({ tokens: loads }) => {
      const mean = sum(loads) / loads.length || 1;
      return loads.map((load) => load / mean);
    });
    key("overview", "diverging", "¼ ×", "4 × the mean");
    matrix("overview", {
      rows: layers.length,
      columns: Math.max(...rows.map((row) => row.length)),
      scaleX: { from: -0.5, step: 1 },
      scaleY: { from: -0.5, step: 1 },
      labelX: "expert",
      labelY: "layer, in the order of the list",
      ramp: ["less", "even", "more"],
      part: (row, expert) => (expert < rows[row].length ? 0.5 + Math.log2(Math.max(rows[row][expert], 1 / 16)) / 4 : null),
      tell: (row, expert) =>
        expert < rows[row].length
          ? "layer " + layers[row].index + ", expert " + expert + ": " + plain.format(layers[row].tokens[expert]) + " tokens, " + number(rows[row][expert]) + " × mean"
          : "",
      choose: (row) => choose(row),
    });
  }

  let current = 0;
  function show(layer) {
    current = layer;
    Plots.showLayer(layer);
    for (const plot of [tokens, lorenz, lanes, pairs, router, stages, rates]) plot(layers[layer]);
  }

  const layerChoice = document.getElementById("layer");
  document.getElementById("order").addEventListener("change", () => tokens(layers[current]));
  document.getElementById("measure").addEventListener("change", () => pairs(layers[current]));
  layerChoice?.addEventListener("change", () => show(Number(layerChoice.value)));
  if (layerChoice) {
    overview((layer) => {
      layerChoice.value = layer;
      show(layer);
    });
  }
  show(0);
  Plots.ready();
})();
