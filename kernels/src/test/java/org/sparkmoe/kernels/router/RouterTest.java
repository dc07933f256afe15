package org.sparkmoe.kernels.router;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sparkmoe.kernels.router.GroupLimit.Score;

final class RouterTest {
  private static final float NAN = Float.NaN;

  private record Routed(int[] ids, float[] weights) {}

  private static Routed route(RoutingRule rule, float[] bias, float... logits) {
    Router router = Router.of(rule, logits.length);
    Routed routed = new Routed(new int[rule.topK()], new float[rule.topK()]);
    router.route(1, logits, bias, routed.ids, routed.weights);
    return routed;
  }

  @Test
  void softmaxKeepsProbabilitiesOverAllExperts() {
    Routed routed = route(TopKRule.softmax(2, false), null, 0, (float) Math.log(3), 0, 0);
    assertThat(routed.ids).containsExactly(1, 0);
    assertThat(routed.weights).containsExactly(new float[] {0.5f, 1 / 6f}, within(1e-7f));
  }

  @Test
  void renormalizedSoftmaxEqualsSoftmaxOverTheChosen() {
    float[] logits = {0.3f, -2, 1.5f, 0.9f};
    Routed renormalized = route(TopKRule.softmax(3, true), null, logits);
    Routed overTopK = route(TopKRule.softmaxOverTopK(3), null, logits);
    assertThat(renormalized.ids).containsExactly(2, 3, 0).isEqualTo(overTopK.ids);
    assertThat(renormalized.weights).containsExactly(overTopK.weights, within(1e-6f));
    assertThat(renormalized.weights[0] + renormalized.weights[1] + renormalized.weights[2])
        .isCloseTo(1, within(1e-6f));
  }

  @Test
  void tiesGoToTheLowerId() {
    assertThat(route(TopKRule.softmax(3, true), null, 1, 1, 1, 1, 1).ids).containsExactly(0, 1, 2);
    assertThat(route(TopKRule.softmax(3, true), null, 0, 1, 0, 1, 1).ids).containsExactly(1, 3, 4);
    assertThat(route(new SparseMixerRule(0.01f), null, 2, 5, 5, 5).ids).containsExactly(1, 2);
  }

  @Test
  void selectionBiasChoosesButDoesNotWeigh() {
    TopKRule rule = new TopKRule(2, Scoring.SIGMOID, null, Normalization.Sum.PLAIN, 2.5, false);
    Routed routed = route(rule, new float[] {0, 0, 10, 0}, 0, 0, -4, 1);
    double s2 = 1 / (1 + Math.exp(4));
    double s3 = 1 / (1 + Math.exp(-1));
    assertThat(routed.ids).containsExactly(2, 3);
    assertThat(routed.weights[0]).isCloseTo((float) (2.5 * s2 / (s2 + s3)), within(1e-7f));
    assertThat(routed.weights[1]).isCloseTo((float) (2.5 * s3 / (s2 + s3)), within(1e-7f));
  }

  @Test
  void groupScoresDecideWhichExpertsCanBeChosen() {
    // groups {0,1} {2,3} {4,5}: maxima 9, 8, 5; sums of two 9, 15, 10
    float[] logits = {9, 0, 8, 7, 5, 5};
    TopKRule max =
        new TopKRule(2, Scoring.LOGITS, null, Normalization.NONE, 1, false)
            .withGroups(new GroupLimit(3, 1, Score.MAX));
    TopKRule top2 = max.withGroups(new GroupLimit(3, 1, Score.TOP2_SUM));
    assertThat(route(max, null, logits).ids).containsExactly(0, 1);
    assertThat(route(top2, null, logits).ids).containsExactly(2, 3);
    assertThat(route(top2.withGroups(new GroupLimit(3, 2, Score.TOP2_SUM)), null, logits).ids)
        .containsExactly(2, 3);
    assertThat(route(max.withGroups(new GroupLimit(3, 2, Score.MAX)), null, logits).ids)
        .containsExactly(0, 2);
  }

  @Test
  void negativeBiasedScoresOfKeptGroupsBeatMaskedGroups() {
    TopKRule rule =
        new TopKRule(2, Scoring.SIGMOID, null, Normalization.NONE, 1, false)
            .withGroups(new GroupLimit(2, 1, Score.TOP2_SUM));
    float[] bias = {-3, -3, -5, -5};
    assertThat(route(rule, bias, 0, 0, 0, 0).ids).containsExactly(0, 1);
  }

  @Test
  void normalizationsFollowTheirFormulas() {
    TopKRule base = new TopKRule(2, Scoring.LOGITS, null, Normalization.NONE, 1, false);
    float[] logits = {3, 4, 1};
    assertThat(route(with(base, new Normalization.Lp(2)), null, logits).weights)
        .containsExactly(new float[] {0.8f, 0.6f}, within(1e-7f));
    assertThat(route(with(base, new Normalization.Lp(1)), null, logits).weights)
        .containsExactly(new float[] {4 / 7f, 3 / 7f}, within(1e-7f));
    assertThat(route(with(base, new Normalization.Sum(1, 0)), null, logits).weights)
        .containsExactly(new float[] {0.5f, 0.375f}, within(1e-7f));
    assertThat(route(with(base, new Normalization.Sum(0, 70)), null, logits).weights)
        .containsExactly(new float[] {4 / 70f, 3 / 70f}, within(1e-7f));
    assertThat(route(TopKRule.sigmoidOnInput(), null, logits).weights[0])
        .isCloseTo((float) (1 / (1 + Math.exp(-4))), within(1e-7f));
  }

  @Test
  void sparseMixerDropsWhatIsFarBelowTheMaximum() {
    // 1 - 0.99 = 1% of 1: kept within 2 * 0.01; 0.9 is 10% below: dropped in round one
    Routed routed = route(new SparseMixerRule(0.01f), null, 0.9f, 1f, 0.99f, -1f);
    assertThat(routed.ids).containsExactly(1, 2);
    assertThat(routed.weights[0]).isCloseTo((float) (1 / (1 + Math.exp(0.99f - 1))), within(1e-6f));
    // round two: 0.99 is the maximum and 0.9 is still 9% below, so it stands alone
    assertThat(routed.weights[1]).isEqualTo(1f);
  }

  @Test
  void allExpertsCanBeChosen() {
    Routed routed = route(TopKRule.softmax(5, false), null, 0, 4, 1, 3, 2);
    assertThat(routed.ids).containsExactly(1, 3, 4, 2, 0);
  }

  @Test
  void nanLogitsKeepIdsValid() {
    Routed all = route(TopKRule.softmax(2, true), null, NAN, NAN, NAN);
    assertThat(all.ids).containsExactly(0, 1);
    assertThat(all.weights[0]).isNaN();
    TopKRule raw = new TopKRule(2, Scoring.LOGITS, null, Normalization.NONE, 1, false);
    assertThat(route(raw, null, NAN, 1, NAN, 2).ids).containsExactly(3, 1);
    assertThat(route(new SparseMixerRule(0.01f), null, NAN, NAN, NAN).ids).containsExactly(0, 1);
    assertThat(route(new SparseMixerRule(0.01f), null, NAN, 1, 2).ids).containsExactly(2, 1);
  }

  @Test
  void extremeLogitsStayFinite() {
    Routed routed = route(TopKRule.softmax(2, true), null, 1e30f, -1e30f, 1e30f);
    assertThat(routed.ids).containsExactly(0, 2);
    assertThat(routed.weights).containsExactly(0.5f, 0.5f);
    TopKRule sigmoid = new TopKRule(2, Scoring.SIGMOID, null, Normalization.Sum.PLAIN, 1, false);
    assertThat(route(sigmoid, null, -1e30f, -1e30f, -1e30f).weights).containsExactly(0, 0);
  }

  @ParameterizedTest
  @CsvSource({"0", "1", "7", "64"})
  void rowsAreIndependent(int tokens) {
    long seed = 42L + tokens;
    Random random = new Random(seed);
    int experts = 16;
    float[] logits = new float[tokens * experts];
    for (int i = 0; i < logits.length; i++) {
      logits[i] = (float) random.nextGaussian();
    }
    float[] bias = new float[experts];
    TopKRule rule =
        new TopKRule(4, Scoring.SIGMOID, null, new Normalization.Sum(1e-20, 0), 2.5, false)
            .withGroups(new GroupLimit(4, 2, Score.TOP2_SUM));
    Router router = Router.of(rule, experts);
    int[] ids = new int[tokens * 4];
    float[] weights = new float[tokens * 4];
    router.route(tokens, logits, bias, ids, weights);
    for (int t = 0; t < tokens; t++) {
      Routed one = route(rule, bias, Arrays.copyOfRange(logits, t * experts, (t + 1) * experts));
      assertThat(Arrays.copyOfRange(ids, t * 4, t * 4 + 4)).as("seed %d", seed).isEqualTo(one.ids);
      assertThat(Arrays.copyOfRange(weights, t * 4, t * 4 + 4))
          .as("seed %d", seed)
          .isEqualTo(one.weights);
    }
  }

  @Test
  void wrongSizesAreRefused() {
    Router router = Router.of(TopKRule.softmax(2, true), 4);
    assertThatThrownBy(() -> router.route(2, new float[7], null, new int[4], new float[4]))
        .hasMessage("logits has room for 7 values, 8 needed");
    assertThatThrownBy(() -> router.route(1, new float[4], new float[3], new int[2], new float[2]))
        .hasMessage("selection bias has 3 values for 4 experts");
    assertThatThrownBy(() -> Router.of(TopKRule.softmax(5, true), 4))
        .hasMessage("top 5 of only 4 experts");
  }

  private static TopKRule with(TopKRule rule, Normalization normalization) {
    return new TopKRule(
        rule.topK(),
        rule.scoring(),
        rule.groupsOrNull(),
        normalization,
        rule.scalingFactor(),
        rule.weightOnInput());
  }
}
