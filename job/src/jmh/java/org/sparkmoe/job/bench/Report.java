package org.sparkmoe.job.bench;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Prints what was measured, as soon as it is, and keeps it for a Markdown page. */
final class Report {
  private final PrintWriter out;
  private final StringBuilder markdown = new StringBuilder();

  Report(PrintWriter out) {
    this.out = out;
  }

  void title(String text) {
    markdown.append("# ").append(text).append('\n');
  }

  void section(String text) {
    out.println();
    out.println(text);
    out.flush();
    markdown.append("\n## ").append(text).append("\n\n");
  }

  /** Lines of prose. */
  void lines(List<String> lines) {
    if (lines.isEmpty()) {
      return;
    }
    for (String line : lines) {
      out.println("  " + line);
      markdown.append("- ").append(line).append('\n');
    }
    out.flush();
    markdown.append('\n');
  }

  /** A table; its first column is text, the others are figures. */
  void table(List<String> header, List<List<String>> rows) {
    List<List<String>> all = new ArrayList<>();
    all.add(header);
    all.addAll(rows);
    int[] widths = new int[header.size()];
    for (List<String> row : all) {
      for (int i = 0; i < widths.length; i++) {
        widths[i] = Math.max(widths[i], row.get(i).length());
      }
    }
    for (List<String> row : all) {
      out.println("  " + padded(row, widths, "  "));
    }
    out.flush();
    markdown.append("| ").append(padded(header, widths, " | ")).append(" |\n|---|");
    markdown.append("---:|".repeat(widths.length - 1)).append('\n');
    for (List<String> row : rows) {
      markdown.append("| ").append(padded(row, widths, " | ")).append(" |\n");
    }
    markdown.append('\n');
  }

  /** Writes the page. */
  void write(Path file) {
    try {
      Files.writeString(file, markdown);
    } catch (IOException e) {
      throw new UncheckedIOException("cannot write " + file, e);
    }
  }

  private static String padded(List<String> row, int[] widths, String between) {
    StringBuilder line = new StringBuilder();
    for (int i = 0; i < widths.length; i++) {
      String gap = " ".repeat(widths[i] - row.get(i).length());
      line.append(i == 0 ? "" : between).append(i == 0 ? row.get(i) + gap : gap + row.get(i));
    }
    return line.toString().stripTrailing();
  }
}
