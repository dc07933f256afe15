"use strict";
// The page of two runs side by side.
(() => {
  const { axis, color, count, draw, flat, number, plain, seconds } = Plots;
  const { layers } = Plots.data();
  const NAMES = ["A", "B"];
  const COLORS = ["first", "second"];

  // Bars of both runs next to each other; what a layer has not is hidden with its title.
  const beside = (series) =>
    series.map((data, run) => ({ ...flat, categoryPercentage: 0.8, label: "run " + NAMES[run], backgroundColor: color(COLORS[run]), data }));

  function hide(id, missing) {
    document.getElementById(id).parentElement.hidden = missing;
    return missing;
  }

  function tokens({ shares: [a, b] }) {
    const ids = Array.from({ length: Math.max(a.length, b.length) }, (_, expert) => expert);
    const change = (expert) => (b[expert] ?? 0) - (a[expert] ?? 0);
    if (document.getElementById("order").value === "change") ids.sort((x, y) => change(y) - change(x) || x - y);
    const percent = (value) => number(value) + " %";
    draw("tokens", () => ({
      type: "bar",
      data: { labels: ids, datasets: beside([a, b].map((shares) => ids.map((expert) => shares[expert] ?? null))) },
      options: {
        scales: { x: axis("expert", null, { grid: { display: false } }), y: axis("share of routes", percent, { beginAtZero: true }) },
        plugins: {
          tooltip: {
            callbacks: {
              title: ([item]) => "expert " + item.label,
              label: (item) => item.dataset.label + ": " + percent(item.parsed.y),
              footer: ([item]) => "B − A: " + number(change(ids[item.dataIndex])) + " points",
            },
          },
        },
      },
    }));
  }

  function bars(id, labels, values, x) {
    if (hide(id, !values)) return;
    draw(id, () => ({
      type: "bar",
      data: { labels, datasets: [{ ...flat, backgroundColor: labels.map((_, at) => color(at === 0 ? "muted" : "first")), data: values }] },
      options: {
        scales: { x: axis(x, null, { grid: { display: false } }), y: axis("tokens", count, { beginAtZero: true }) },
        plugins: { tooltip: { callbacks: { label: (item) => plain.format(item.parsed.y) + " tokens" } } },
      },
    }));
  }

  function stages({ stages: steps }) {
    draw("stages", () => ({
      type: "bar",
      data: { labels: steps.map((step) => step.stage), datasets: beside([steps.map((step) => step.first), steps.map((step) => step.second)]) },
      options: {
        indexAxis: "y",
        scales: {
          x: axis("time", seconds, { beginAtZero: true }),
          y: axis("", null, { grid: { display: false }, ticks: { color: color("text"), autoSkip: false } }),
        },
        plugins: {
          tooltip: {
            callbacks: {
              label: (item) => item.dataset.label + ": " + seconds(item.parsed.x),
              footer: ([item]) => {
                const { first, second } = steps[item.dataIndex];
                return first > 0 ? "B over A: " + number(second / first) + " ×" : "";
              },
            },
          },
        },
      },
    }));
  }

  let current = 0;
  function show(layer) {
    current = layer;
    Plots.showLayer(layer);
    const { moved, distances, tokens: byDistance } = layers[layer];
    tokens(layers[layer]);
    bars("moved", (moved ?? []).map((_, slots) => slots), moved, "slots with another expert");
    bars("distances", distances ?? [], byDistance, "relative L2 distance");
    stages(layers[layer]);
  }

  const layerChoice = document.getElementById("layer");
  document.getElementById("order").addEventListener("change", () => tokens(layers[current]));
  layerChoice?.addEventListener("change", () => show(Number(layerChoice.value)));
  show(0);
  Plots.ready();
})();
