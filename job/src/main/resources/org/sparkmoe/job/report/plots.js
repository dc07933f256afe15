"use strict";
// Kinds of plots, over Chart.js. Colours come from the style sheet, so that light and dark are said once.
const Plots = (() => {
  const plain = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
  const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
  const drawn = new Map();

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  function count(value) {
    return Math.abs(value) >= 10000 ? short.format(value) : plain.format(value);
  }

  function number(value) {
    return Number(value.toPrecision(3)).toLocaleString("en-US", { maximumSignificantDigits: 3 });
  }

  function bytes(value) {
    const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let unit = 0;
    for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
    return number(value) + " " + units[unit];
  }

  function seconds(value) {
    return value >= 60
      ? Math.floor(value / 60) + " min " + Math.round(value % 60) + " s"
      : value > 0 && value < 1 ? number(value * 1000) + " ms" : number(value) + " s";
  }

  const axis = (title, format, { ticks, ...more } = {}) => ({
    title: { display: Boolean(title), text: title, color: color("muted") },
    grid: { color: color("line") },
    border: { color: color("line") },
    ticks: {
      color: color("muted"),
      maxRotation: 0,
      autoSkipPadding: 12,
      ...(format && { callback: (value) => format(value) }),
      ...ticks,
    },
    ...more,
  });

  // Draws now, and again whenever the colours change.
  function draw(id, config) {
    const canvas = document.getElementById(id);
    if (!canvas) return;
    drawn.get(id)?.chart.destroy();
    const { data, options, ...rest } = config();
    const chart = new Chart(canvas, {
      ...rest,
      data,
      options: {
        animation: false,
        maintainAspectRatio: false,
        interaction: { mode: "index", intersect: false },
        ...options,
        plugins: {
          legend: { display: data.datasets.length > 1, labels: { color: color("text"), boxWidth: 12, boxHeight: 12 } },
          ...options.plugins,
        },
      },
    });
    drawn.set(id, { chart, config });
    return chart;
  }

  function redraw() {
    for (const [id, { config }] of [...drawn]) draw(id, config);
  }

  const flat = { borderWidth: 0, barPercentage: 0.9, categoryPercentage: 1 };

  // The upper triangle of a square, its diagonal included, row after row.
  const triangle = (side, row, column) =>
    row <= column ? (row * (2 * side - row - 1)) / 2 + column : (column * (2 * side - column - 1)) / 2 + row;

  function mixed(from, to, part) {
    const parse = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    const [a, b] = [parse(from), parse(to)];
    return a.map((channel, i) => Math.round(channel + (b[i] - channel) * part));
  }

  // Colours for parts of a ramp: 0 to 1.
  function ramp(names) {
    const stops = names.map(color);
    return Array.from({ length: 256 }, (_, i) => {
      const at = (i / 255) * (stops.length - 1);
      const stop = Math.min(Math.floor(at), stops.length - 2);
      return mixed(stops[stop], stops[stop + 1], at - stop);
    });
  }

  // A matrix of coloured cells: one pixel a cell, made larger by the browser. part(row, column) is 0 to 1, or null.
  function matrix(id, { rows, columns, scaleX, scaleY, labelX, labelY, ramp: names, part, tell, choose }) {
    const picture = document.createElement("canvas");
    picture.width = columns;
    picture.height = rows;
    const cellOf = (chart, event) => {
      const column = Math.floor((chart.scales.x.getValueForPixel(event.x) - scaleX.from) / scaleX.step);
      const row = Math.floor((chart.scales.y.getValueForPixel(event.y) - scaleY.from) / scaleY.step);
      return row >= 0 && row < rows && column >= 0 && column < columns ? [row, column] : null;
    };
    const painter = {
      id: "cells",
      beforeDatasetsDraw(chart) {
        const { left, top, width, height } = chart.chartArea;
        chart.ctx.imageSmoothingEnabled = false;
        chart.ctx.drawImage(picture, left, top, width, height);
      },
      afterEvent(chart, { event }) {
        const cell = event.type === "mouseout" ? null : cellOf(chart, event);
        if (tell) document.getElementById(id + "-readout").textContent = cell ? tell(...cell) : "";
        if (choose && cell && event.type === "click") choose(...cell);
      },
    };
    return draw(id, () => {
      const colors = ramp(names);
      const context = picture.getContext("2d");
      const image = context.createImageData(columns, rows);
      for (let row = 0, at = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++, at += 4) {
          const value = part(row, column);
          if (value === null) continue;
          image.data.set(colors[Math.round(255 * Math.min(1, Math.max(0, value)))], at);
          image.data[at + 3] = 255;
        }
      }
      context.putImageData(image, 0, 0);
      const cells = { grid: { display: false }, ticks: { includeBounds: false, precision: 0 } };
      const range = (scale, size) => ({ type: "linear", min: scale.from, max: scale.from + size * scale.step });
      return {
        type: "scatter",
        data: { datasets: [{ data: [] }] },
        options: {
          plugins: { tooltip: { enabled: false } },
          scales: {
            x: axis(labelX, null, { ...range(scaleX, columns), ...cells }),
            y: axis(labelY, null, { ...range(scaleY, rows), ...cells, reverse: true }),
          },
        },
        plugins: [painter],
      };
    });
  }

  // The key to a matrix, above its plot.
  function key(id, kind, from, to) {
    const plot = document.getElementById(id).parentElement;
    let line = plot.previousElementSibling;
    if (!line?.classList.contains("ramp")) {
      line = document.createElement("p");
      line.className = "ramp";
      line.append(document.createElement("span"), document.createElement("i"), document.createElement("span"));
      plot.before(line);
    }
    line.children[0].textContent = from;
    line.children[1].className = kind;
    line.children[2].textContent = to;
  }

  // Counts in bins of equal width, one series or several on top of each other.
  function histogram(id, { from, to, series, x, y }) {
    const width = (to - from) / series[0].counts.length;
    draw(id, () => ({
      type: "bar",
      data: {
        datasets: series.map(({ label, counts, fill }) => ({
          ...flat,
          barPercentage: 0.98,
          label,
          backgroundColor: fill(),
          data: counts.map((n, bin) => ({ x: from + (bin + 0.5) * width, y: n })),
        })),
      },
      options: {
        scales: {
          x: axis(x, number, { type: "linear", min: from, max: to, offset: false, stacked: true }),
          y: axis(y, count, { stacked: true, beginAtZero: true }),
        },
        plugins: {
          tooltip: {
            callbacks: {
              title: ([item]) => number(item.parsed.x - width / 2) + " to " + number(item.parsed.x + width / 2),
              label: (item) => (series.length > 1 ? item.dataset.label + ": " : "") + plain.format(item.parsed.y),
            },
          },
        },
      },
    }));
  }

  // Tables of all layers are in the page, those that were never shown as text: shows those of one.
  function showLayer(layer) {
    for (const part of document.querySelectorAll("[data-layer]")) {
      const chosen = Number(part.dataset.layer) === layer;
      if (chosen && part.tagName === "NOSCRIPT") {
        const opened = document.createElement("div");
        opened.dataset.layer = layer;
        opened.innerHTML = part.textContent;
        part.replaceWith(opened);
      } else {
        part.hidden = !chosen;
      }
    }
  }

  // Tells who waits for the page how many milliseconds after the start of its loading everything was drawn.
  function ready() {
    requestAnimationFrame(() =>
      requestAnimationFrame(() => {
        document.documentElement.dataset.ready = Math.round(performance.now());
      }),
    );
  }

  const data = () => JSON.parse(document.getElementById("data").textContent);

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;

  return {
    axis, bytes, color, count, data, draw, flat, histogram, key, matrix, mixed, number, plain, ready, seconds,
    showLayer, triangle,
  };
})();
