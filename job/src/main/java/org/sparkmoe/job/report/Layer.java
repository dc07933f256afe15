package org.sparkmoe.job.report;

import java.util.List;
import java.util.function.Function;
import java.util.stream.IntStream;

/** What a page tells of one layer; the reader chooses from several. */
interface Layer {
  /** Of the decoder layer, counted from 0. */
  int index();

  /**
   * Markup of every layer, of which the page's script shows one. All but the first are text to a
   * browser that runs scripts, until they are chosen: tens of thousands of cells that nobody looks
   * at would take most of the time in which the page opens. Without scripts all are read.
   */
  static <T extends Layer> String each(List<T> layers, Function<T, String> markup) {
    if (layers.size() == 1) {
      return markup.apply(layers.getFirst());
    }
    StringBuilder all = new StringBuilder();
    for (int i = 0; i < layers.size(); i++) {
      String element = i == 0 ? "div" : "noscript";
      all.append('<').append(element).append(" data-layer=\"").append(i).append("\"><h4>Layer ");
      all.append(layers.get(i).index()).append("</h4>").append(markup.apply(layers.get(i)));
      all.append("</").append(element).append(">\n");
    }
    return all.toString();
  }

  /** The choice of a layer, or nothing where there is one. */
  static String chooser(List<? extends Layer> layers) {
    return layers.size() == 1
        ? ""
        : Html.choice(
            "layer",
            "Layer",
            IntStream.range(0, layers.size())
                .boxed()
                .flatMap(
                    i -> List.of(i.toString(), Integer.toString(layers.get(i).index())).stream())
                .toArray(String[]::new));
  }
}
