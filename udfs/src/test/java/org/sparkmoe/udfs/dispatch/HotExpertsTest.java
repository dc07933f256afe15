package org.sparkmoe.udfs.dispatch;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.SortedMap;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.kernels.permute.ExpertPlacement;
import org.sparkmoe.kernels.permute.LoadBalancer;
import org.sparkmoe.kernels.testing.RandomTensors;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.testing.Flow;
import org.sparkmoe.udfs.testing.Plans;
import org.sparkmoe.udfs.testing.Tokens;

/** Experts that several lanes hold. */
@ExtendWith(LocalSpark.class)
final class HotExpertsTest {
  private static final Tokens TOKENS = Tokens.random(60, 64, new RandomTensors(19));

  private static LayerPlan placed(LayerPlan plan, ExpertPlacement placement) {
    return Plans.changed(plan, placement, plan.reduction());
  }

  /** Three quarters of all load on expert 3, so that it is held by several lanes. */
  private static ExpertPlacement hot(LayerPlan plan, int lanes) {
    long[] loads = new long[plan.spec().experts()];
    for (int expert = 0; expert < loads.length; expert++) {
      loads[expert] = expert == 3 ? 60L * loads.length : 20;
    }
    return LoadBalancer.balance(loads, lanes, lanes);
  }

  // Without a shared expert, with a gated one, and with weights on the input beside a shared one.
  @ParameterizedTest
  @ValueSource(strings = {"qwen3_moe", "qwen2_moe", "llama4"})
  void giveTheBitsOfOneLane(String family, SparkSession spark) {
    LayerPlan plan = Plans.fixture(family).withLanes(1).plan();
    SortedMap<Long, byte[]> expected = Flow.outputs(TOKENS.rows(spark, 1), plan);
    for (int lanes : new int[] {2, 5}) {
      ExpertPlacement placement = hot(plan, lanes);
      assertThat(placement.sharedExperts()).isPositive();
      SortedMap<Long, byte[]> outputs =
          Flow.outputs(TOKENS.rows(spark, 3), placed(plan, placement));
      assertThat(outputs.keySet()).isEqualTo(expected.keySet());
      outputs.forEach(
          (id, output) ->
              assertThat(output)
                  .as("%s, %d lanes, token %d", family, lanes, id)
                  .isEqualTo(expected.get(id)));
    }
  }

  /** Ranges that are no branches of the tree of experts, as balancing may cut them. */
  @ParameterizedTest
  @ValueSource(strings = {"qwen3_moe", "qwen2_moe", "llama4"})
  void movedRangesGiveTheBitsOfOneLane(String family, SparkSession spark) {
    LayerPlan plan = Plans.fixture(family).withLanes(1).plan();
    SortedMap<Long, byte[]> expected = Flow.outputs(TOKENS.rows(spark, 1), plan);
    int experts = plan.spec().experts();
    for (int lanes : new int[] {2, 3}) {
      int[][] lanesOf = new int[experts][];
      for (int expert = 0; expert < experts; expert++) {
        lanesOf[expert] = new int[] {expert == 0 ? 0 : Math.min(lanes - 1, 1 + expert / 5)};
      }
      Flow.outputs(TOKENS.rows(spark, 3), placed(plan, ExpertPlacement.of(lanes, lanesOf)))
          .forEach(
              (id, output) ->
                  assertThat(output).as("%s, %d", family, id).isEqualTo(expected.get(id)));
    }
  }

  @Test
  void theirTokensGoToAllOfTheirLanes(SparkSession spark) {
    LayerPlan one = Plans.fixture("qwen3_moe").withLanes(1).plan();
    int experts = one.spec().experts();
    int[][] everywhere = new int[experts][];
    for (int expert = 0; expert < experts; expert++) {
      everywhere[expert] = new int[] {0, 1, 2};
    }
    LayerPlan plan = placed(one, ExpertPlacement.of(3, everywhere));
    int[] assignments = new int[3];
    for (Row row : Flow.blocks(TOKENS.rows(spark, 2), plan).collectAsList()) {
      DispatchBlock block = DispatchBlock.of(row);
      assignments[block.lane()] += block.assignments();
    }
    int all = 60 * plan.spec().topK();
    assertThat(assignments[0] + assignments[1] + assignments[2]).isEqualTo(all);
    for (int count : assignments) {
      assertThat(count).isBetween(all / 5, all / 2);
    }
  }
}
