package org.sparkmoe.job.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.sparkmoe.kernels.experts.Activation;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.router.GroupLimit;
import org.sparkmoe.kernels.router.Normalization;
import org.sparkmoe.kernels.router.RoutingRule;
import org.sparkmoe.kernels.router.SparseMixerRule;
import org.sparkmoe.kernels.router.TopKRule;

/** A layer's specification in words. */
final class LayerTexts {
  private LayerTexts() {}

  /** Sizes. */
  static String shape(MoeLayerSpec spec) {
    String shared =
        spec.shared()
            .map(
                s ->
                    ", shared expert %d wide%s"
                        .formatted(s.intermediate(), s.gated() ? ", gated" : ""))
            .orElse("");
    return "hidden %d, %d experts %d wide, top %d%s"
        .formatted(spec.hidden(), spec.experts(), spec.intermediate(), spec.topK(), shared);
  }

  /** The routing rule. */
  static String router(RoutingRule rule) {
    return switch (rule) {
      case SparseMixerRule mixer -> "sparsemixer, top 2, jitter " + mixer.jitter();
      case TopKRule topK -> router(topK);
    };
  }

  private static String router(TopKRule rule) {
    List<String> words = new ArrayList<>();
    words.add(
        switch (rule.scoring()) {
          case SOFTMAX -> "softmax over all experts";
          case SIGMOID -> "sigmoid";
          case LOGITS -> "logits";
        });
    rule.groups().ifPresent(groups -> words.add(groups(groups)));
    words.add("top " + rule.topK());
    String after =
        switch (rule.normalization()) {
          case Normalization.None none -> "";
          case Normalization.Softmax softmax -> "softmax over the chosen";
          case Normalization.Sigmoid sigmoid -> "sigmoid of the chosen";
          case Normalization.Sum sum -> "weights divided by their sum";
          case Normalization.Lp lp -> "weights divided by their L%s norm".formatted(number(lp.p()));
        };
    if (!after.isEmpty()) {
      words.add(after);
    }
    if (rule.scalingFactor() != 1) {
      words.add("times " + number(rule.scalingFactor()));
    }
    if (rule.weightOnInput()) {
      words.add("weight on the expert's input");
    }
    return String.join(", ", words);
  }

  private static String groups(GroupLimit limit) {
    String score =
        switch (limit.score()) {
          case MAX -> "their best expert";
          case TOP2_SUM -> "the sum of their two best";
        };
    return "best %d of %d groups by %s".formatted(limit.kept(), limit.groups(), score);
  }

  /** The activation, with the constants it has. */
  static String activation(Activation activation) {
    StringBuilder text =
        new StringBuilder(activation.kind().name().toLowerCase(Locale.ROOT).replace('_', ' '));
    if (activation.alpha() != 0) {
      text.append(", alpha ").append(number(activation.alpha()));
    }
    if (activation.beta() != 0) {
      text.append(", beta ").append(number(activation.beta()));
    }
    if (activation.limit() != Float.POSITIVE_INFINITY) {
      text.append(", limit ").append(number(activation.limit()));
    }
    return text.toString();
  }

  /** Without a trailing .0, and f32 constants as they are written in configurations. */
  private static String number(double value) {
    String text = Float.toString((float) value);
    return text.endsWith(".0") ? text.substring(0, text.length() - 2) : text;
  }
}
