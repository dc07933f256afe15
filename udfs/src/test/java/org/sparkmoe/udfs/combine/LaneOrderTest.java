package org.sparkmoe.udfs.combine;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import java.util.SortedMap;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.kernels.testing.RandomTensors;
import org.sparkmoe.kernels.testing.Rows;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.plan.Reduction;
import org.sparkmoe.udfs.testing.Flow;
import org.sparkmoe.udfs.testing.Plans;
import org.sparkmoe.udfs.testing.Tokens;

/** Lanes that sum their own slots, beside sums over the tree of experts. */
@ExtendWith(LocalSpark.class)
final class LaneOrderTest {
  private static final int HIDDEN = 64;

  private static LayerPlan laneOrder(LayerPlan plan) {
    return Plans.changed(plan, plan.placement(), Reduction.LANE_ORDER);
  }

  private static Tokens tokens(long seed) {
    return Tokens.random(40, HIDDEN, new RandomTensors(seed));
  }

  // With a gated shared expert, and with weights on the input beside a shared one.
  @ParameterizedTest
  @ValueSource(strings = {"qwen3_moe", "qwen2_moe", "llama4"})
  void oneLaneGivesTheBitsOfExpertOrder(String family, SparkSession spark) {
    LayerPlan plan = Plans.fixture(family).withLanes(1).plan();
    SortedMap<Long, byte[]> outputs = Flow.outputs(tokens(5).rows(spark, 2), laneOrder(plan));
    SortedMap<Long, byte[]> expected = Flow.outputs(tokens(5).rows(spark, 2), plan);
    assertThat(outputs.keySet()).isEqualTo(expected.keySet());
    outputs.forEach((id, output) -> assertThat(output).isEqualTo(expected.get(id)));
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 5})
  void moreLanesDifferInTheLastBitsOnly(int lanes, SparkSession spark) {
    LayerPlan plan = Plans.fixture("qwen2_moe").withLanes(lanes).plan();
    SortedMap<Long, byte[]> outputs = Flow.outputs(tokens(6).rows(spark, 3), laneOrder(plan));
    SortedMap<Long, byte[]> expected = Flow.outputs(tokens(6).rows(spark, 3), plan);
    assertThat(outputs.keySet()).isEqualTo(expected.keySet());
    expected.forEach(
        (id, output) ->
            Rows.assertClose(
                Rows.floats(MemorySegment.ofArray(outputs.get(id))),
                Rows.floats(MemorySegment.ofArray(output)),
                HIDDEN,
                1e-6,
                lanes + " lanes, token " + id));
  }

  @Test
  void partitionsOfTheInputChangeNothing(SparkSession spark) {
    LayerPlan plan = laneOrder(Plans.fixture("qwen3_moe").withLanes(3).plan());
    SortedMap<Long, byte[]> one = Flow.outputs(tokens(7).rows(spark, 1), plan);
    SortedMap<Long, byte[]> four = Flow.outputs(tokens(7).rows(spark, 4), plan);
    one.forEach((id, output) -> assertThat(output).isEqualTo(four.get(id)));
  }

  @Test
  void oneVectorTravelsForATokenAndALane(SparkSession spark) {
    LayerPlan plan = laneOrder(Plans.fixture("qwen3_moe").withLanes(2).plan());
    for (Row row :
        Flow.partials(Flow.blocks(tokens(8).rows(spark, 1), plan), plan).collectAsList()) {
      byte[] partials = row.getAs(PartialRow.PARTIALS);
      assertThat(partials).hasSize(HIDDEN * Float.BYTES);
    }
  }
}
