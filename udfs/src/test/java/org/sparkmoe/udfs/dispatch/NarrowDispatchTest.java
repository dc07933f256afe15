package org.sparkmoe.udfs.dispatch;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import java.util.SortedMap;
import java.util.stream.Stream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.quant.ActivationScheme;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.testing.RandomTensors;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.testing.Flow;
import org.sparkmoe.udfs.testing.Plans;
import org.sparkmoe.udfs.testing.Tokens;

/** Vectors of a table in bf16 or f16 travel as they are, and lose nothing on the way. */
@ExtendWith(LocalSpark.class)
final class NarrowDispatchTest {
  private static final int TOKENS = 29;

  // Without a shared expert, with a gated one, with one, and with weights on the input beside one.
  private static Stream<Arguments> cases() {
    return Stream.of("qwen3_moe", "qwen2_moe", "deepseek_v3", "llama4")
        .flatMap(
            family ->
                Stream.of(DType.BF16, DType.F16)
                    .flatMap(
                        dtype ->
                            Stream.of(
                                Arguments.of(family, dtype, ActivationCodec.NONE),
                                Arguments.of(family, dtype, int8()))));
  }

  private static ActivationCodec int8() {
    return ActivationCodec.of(ActivationScheme.int8PerBlock(16));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void outputsAreThoseOfTheSameValuesInF32(
      String family, DType dtype, ActivationCodec codec, SparkSession spark) {
    Plans plans = Plans.fixture(family).withCodec(codec).keeping(Tokens.KEPT);
    RandomTensors random = new RandomTensors(41);
    Tokens tokens = Tokens.random(TOKENS, plans.layer().spec().hidden(), random).rounded(dtype);
    for (int lanes : new int[] {1, 2, 5}) {
      LayerPlan wide = plans.withLanes(lanes).plan();
      // so few bytes that blocks span what is read at once
      LayerPlan narrow = Plans.reading(plans.withLanes(lanes).withBatchBytes(30_000).plan(), dtype);
      SortedMap<Long, byte[]> expected = Flow.outputs(tokens.keptRows(spark, 3), wide);
      SortedMap<Long, byte[]> found = Flow.outputs(tokens.keptRows(spark, 3, dtype), narrow);
      assertThat(found.keySet()).isEqualTo(expected.keySet());
      for (Map.Entry<Long, byte[]> entry : expected.entrySet()) {
        assertThat(found.get(entry.getKey()))
            .as("token %d, %d lanes, %s", entry.getKey(), lanes, random)
            .isEqualTo(entry.getValue());
      }
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void onlyVectorsThatNobodyChangesStayNarrow(
      String family, DType dtype, ActivationCodec codec, SparkSession spark) {
    Plans plans = Plans.fixture(family).withCodec(codec).withLanes(2).keeping(Tokens.KEPT);
    int hidden = plans.layer().spec().hidden();
    Dataset<Row> rows =
        Tokens.random(TOKENS, hidden, new RandomTensors(43)).keptRows(spark, 1, dtype);
    LayerPlan plan = Plans.reading(plans.plan(), dtype);
    boolean weighed = plan.spec().routing().weightOnInput();
    int bytes = !codec.isIdentity() ? 1 : weighed ? Float.BYTES : Short.BYTES;
    for (Row row : Flow.blocks(rows, plan).collectAsList()) {
      DispatchBlock block = DispatchBlock.of(row);
      assertThat(block.codes()).hasSize(block.tokens() * hidden * bytes);
      block.check(plan);
    }
  }
}
