package org.sparkmoe.udfs.sql;

import java.util.Locale;
import org.sparkmoe.kernels.router.GroupLimit;
import org.sparkmoe.kernels.router.Normalization;
import org.sparkmoe.kernels.router.RoutingRule;
import org.sparkmoe.kernels.router.Scoring;
import org.sparkmoe.kernels.router.SparseMixerRule;
import org.sparkmoe.kernels.router.TopKRule;

/**
 * A routing rule written in SQL: words separated by spaces or commas.
 *
 * <pre>
 *   softmax k=8                                softmax over all experts, then the top 8
 *   softmax k=8 renormalize                    … their weights divided by their sum
 *   logits k=4 softmax-after                   top 4 of the logits, softmax over those four
 *   logits k=1 sigmoid-after                   top 1 of the logits, its sigmoid
 *   sigmoid k=8 groups=8/4:top2 renormalize scale=2.5
 *   softmax k=6 groups=8/3:max scale=16
 *   softmax k=4 norm=1                         weights divided by their L1 norm
 *   sparsemixer jitter=0.01
 * </pre>
 */
final class RoutingRuleText {
  private Scoring scoring;
  private boolean sparseMixer;
  private int topK;
  private float jitter = 0.01f;
  private GroupLimit groups;
  private Normalization normalization = Normalization.NONE;
  private double scale = 1;

  private RoutingRuleText() {}

  static RoutingRule parse(String text) {
    RoutingRuleText rule = new RoutingRuleText();
    for (String word : text.strip().toLowerCase(Locale.ROOT).split("[\\s,]+", -1)) {
      try {
        rule.accept(word);
      } catch (NumberFormatException e) {
        throw new IllegalArgumentException(
            "routing rule '%s': '%s' is not a number".formatted(text, word), e);
      } catch (IllegalArgumentException e) {
        throw new IllegalArgumentException(
            "routing rule '%s': %s".formatted(text, e.getMessage()), e);
      }
    }
    return rule.build(text);
  }

  private void accept(String word) {
    int equals = word.indexOf('=');
    String key = equals < 0 ? word : word.substring(0, equals);
    String value = equals < 0 ? "" : word.substring(equals + 1);
    switch (key) {
      case "softmax" -> scoring = Scoring.SOFTMAX;
      case "sigmoid" -> scoring = Scoring.SIGMOID;
      case "logits" -> scoring = Scoring.LOGITS;
      case "sparsemixer" -> sparseMixer = true;
      case "renormalize" -> normalization = Normalization.Sum.PLAIN;
      case "softmax-after" -> normalization = new Normalization.Softmax();
      case "sigmoid-after" -> normalization = new Normalization.Sigmoid();
      case "k" -> topK = Integer.parseInt(value);
      case "scale" -> scale = Double.parseDouble(value);
      case "norm" -> normalization = new Normalization.Lp(Double.parseDouble(value));
      case "jitter" -> jitter = Float.parseFloat(value);
      case "groups" -> groups = groups(value);
      default ->
          throw new IllegalArgumentException(
              "unknown word '%s'; write for example 'softmax k=8 renormalize'".formatted(word));
    }
  }

  private static GroupLimit groups(String value) {
    int slash = value.indexOf('/');
    int colon = value.indexOf(':');
    if (slash < 0 || colon < slash) {
      throw new IllegalArgumentException(
          "groups=%s; write groups=COUNT/KEPT:max or groups=COUNT/KEPT:top2".formatted(value));
    }
    GroupLimit.Score score =
        switch (value.substring(colon + 1)) {
          case "max" -> GroupLimit.Score.MAX;
          case "top2" -> GroupLimit.Score.TOP2_SUM;
          default ->
              throw new IllegalArgumentException(
                  "group score '%s'; known are max and top2".formatted(value.substring(colon + 1)));
        };
    return new GroupLimit(
        Integer.parseInt(value.substring(0, slash)),
        Integer.parseInt(value.substring(slash + 1, colon)),
        score);
  }

  private RoutingRule build(String text) {
    if (sparseMixer) {
      return new SparseMixerRule(jitter);
    }
    if (scoring == null || topK == 0) {
      throw new IllegalArgumentException(
          "routing rule '%s' needs a scoring (softmax, sigmoid, logits or sparsemixer) and k=…"
              .formatted(text));
    }
    return new TopKRule(topK, scoring, groups, normalization, scale, false);
  }
}
