package org.sparkmoe.kernels.router;

import java.util.Optional;

/**
 * Score, select, weigh: the rule of every family except sparsemixer.
 *
 * <ol>
 *   <li>{@code s = scoring(logits)}
 *   <li>the choice is made on {@code c = s + selectionBias}, within the groups that {@link
 *       GroupLimit} keeps; ties go to the lower expert id; slots are in descending order of c
 *   <li>the weights are the <em>unbiased</em> s of the chosen experts, then {@code normalization},
 *       then {@code × scalingFactor}
 * </ol>
 *
 * @param topK experts per token
 * @param scoring logits to scores
 * @param groupsOrNull restriction of the choice, if any
 * @param normalization of the k weights
 * @param scalingFactor last factor of the weights
 * @param weightOnInput see {@link RoutingRule#weightOnInput()}; only with topK 1
 */
public record TopKRule(
    int topK,
    Scoring scoring,
    GroupLimit groupsOrNull,
    Normalization normalization,
    double scalingFactor,
    boolean weightOnInput)
    implements RoutingRule {

  public TopKRule {
    if (topK < 1) {
      throw new IllegalArgumentException("topK " + topK + " must be at least 1");
    }
    if (weightOnInput && topK != 1) {
      throw new IllegalArgumentException(
          "router weights on the expert input need topK 1, not " + topK);
    }
  }

  /** Softmax over all experts, then the top k (Mixtral, Qwen, OLMoE, Jamba). */
  public static TopKRule softmax(int topK, boolean renormalize) {
    return new TopKRule(
        topK,
        Scoring.SOFTMAX,
        null,
        renormalize ? Normalization.Sum.PLAIN : Normalization.NONE,
        1,
        false);
  }

  /** Top k of the logits, then softmax over those k (gpt-oss, Granite, JetMoE). */
  public static TopKRule softmaxOverTopK(int topK) {
    return new TopKRule(topK, Scoring.LOGITS, null, new Normalization.Softmax(), 1, false);
  }

  /** Top 1 of the logits, its sigmoid multiplying the expert's input (Llama 4). */
  public static TopKRule sigmoidOnInput() {
    return new TopKRule(1, Scoring.LOGITS, null, new Normalization.Sigmoid(), 1, true);
  }

  public TopKRule withGroups(GroupLimit groups) {
    return new TopKRule(topK, scoring, groups, normalization, scalingFactor, weightOnInput);
  }

  public TopKRule withScalingFactor(double factor) {
    return new TopKRule(topK, scoring, groupsOrNull, normalization, factor, weightOnInput);
  }

  public Optional<GroupLimit> groups() {
    return Optional.ofNullable(groupsOrNull);
  }
}
