package org.sparkmoe.udfs.dispatch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.permute.ExpertPlacement;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.quant.ActivationScheme;
import org.sparkmoe.kernels.quant.ActivationScheme.Granularity;
import org.sparkmoe.kernels.quant.LayerCodecs;
import org.sparkmoe.kernels.tensor.E8m0;
import org.sparkmoe.kernels.tensor.ScaleType;
import org.sparkmoe.kernels.testing.RandomTensors;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.testing.Flow;
import org.sparkmoe.udfs.testing.PlainLayer;
import org.sparkmoe.udfs.testing.Plans;
import org.sparkmoe.udfs.testing.Tokens;
import org.sparkmoe.udfs.tokens.Vectors;

/**
 * Scales survive the way to the lanes and back. A scale of the whole tensor once got lost in
 * dispatch elsewhere, where only per-token scales were thought of; it must not here.
 */
@ExtendWith(LocalSpark.class)
final class ScaleDispatchTest {
  private static final int TOKENS = 37;
  private static final int BLOCK = 16;
  private static final int[] LANES = {1, 2, 5};

  /** No token of these tests has an expert on this one of five lanes. */
  private static final int EMPTY_LANE = 3;

  private static final ActivationScheme PER_TENSOR = ActivationScheme.int8(Granularity.TENSOR);

  /** A codec, and the same arithmetic without it. */
  record Scheme(String name, ActivationCodec codec, PlainLayer.Wire wire) {
    @Override
    public String toString() {
      return name;
    }
  }

  private static List<Scheme> schemes() {
    return Stream.concat(integers(), floats()).toList();
  }

  private static Stream<Scheme> integers() {
    return Stream.of(
        new Scheme("none", ActivationCodec.of(ActivationScheme.NONE), input -> input),
        new Scheme(
            "per tensor",
            ActivationCodec.perTensor(PER_TENSOR, 0.037f),
            PlainLayer.int8Scaled(0.037f)),
        new Scheme(
            "per token",
            ActivationCodec.of(ActivationScheme.int8(Granularity.TOKEN)),
            PlainLayer.int8(Integer.MAX_VALUE / 2)),
        new Scheme(
            "per block",
            ActivationCodec.of(ActivationScheme.int8PerBlock(BLOCK)),
            PlainLayer.int8(BLOCK)),
        new Scheme(
            "per block, the last one short",
            ActivationCodec.of(ActivationScheme.int8PerBlock(24)),
            PlainLayer.int8(24)));
  }

  private static Stream<Scheme> floats() {
    int all = Integer.MAX_VALUE / 2;
    UnaryOperator<Float> nearest = amax -> Math.max(amax, 1e-10f) / 448;
    UnaryOperator<Float> powerOfTwo =
        amax -> E8m0.decode(E8m0.encodeUp(Math.max(amax, 1e-10f) / 448));
    return Stream.of(
        new Scheme(
            "fp8 per tensor",
            ActivationCodec.perTensor(ActivationScheme.fp8(Granularity.TENSOR), 0.0037f),
            PlainLayer.fp8(all, amax -> 0.0037f)),
        new Scheme(
            "fp8 per token",
            ActivationCodec.of(ActivationScheme.fp8(Granularity.TOKEN)),
            PlainLayer.fp8(all, amax -> Math.max(amax / 448, 1 / (448f * 512f)))),
        new Scheme(
            "fp8 per block, wider than a token",
            ActivationCodec.of(ActivationScheme.fp8PerBlock(128, ScaleType.F32)),
            PlainLayer.fp8(128, nearest)),
        new Scheme(
            "fp8 per block, powers of two, the last one short",
            ActivationCodec.of(ActivationScheme.fp8PerBlock(48, ScaleType.E8M0)),
            PlainLayer.fp8(48, powerOfTwo)),
        new Scheme(
            "mxfp8", ActivationCodec.of(ActivationScheme.MXFP8), PlainLayer.fp8(32, powerOfTwo)),
        new Scheme(
            "nvfp4",
            ActivationCodec.perTensor(ActivationScheme.NVFP4, 0.01f),
            PlainLayer.nvfp4(0.01f)));
  }

  // Without a shared expert, with a gated one, and with weights on the input beside a shared one.
  private static Stream<Arguments> cases() {
    return Stream.of("qwen3_moe", "qwen2_moe", "llama4")
        .flatMap(family -> schemes().stream().map(scheme -> Arguments.of(family, scheme)));
  }

  @Test
  void sharedExpertsThatAreQuantizedAlikeTakeTheCodes(SparkSession spark) {
    ActivationCodec token = ActivationCodec.of(ActivationScheme.fp8(Granularity.TOKEN));
    LayerCodecs alike = new LayerCodecs(token, ActivationCodec.NONE, token, ActivationCodec.NONE);
    PlainLayer.Wire wire =
        PlainLayer.fp8(Integer.MAX_VALUE / 2, amax -> Math.max(amax / 448, 1 / (448f * 512f)));
    Plans plans = Plans.fixture("deepseek_v3").withCodecs(alike);
    Tokens tokens = tokens(plans);
    SortedMap<Long, byte[]> expected = plain(plans, tokens, wire, wire);
    for (int lanes : LANES) {
      LayerPlan plan = plans.withLanes(lanes).plan();
      Dataset<Row> rows = tokens.rows(spark, 3);
      for (Row row : Flow.blocks(rows, plan).collectAsList()) {
        assertThat(DispatchBlock.of(row).homeHiddenOrNull()).isNull();
      }
      assertSameBytes(Flow.outputs(rows, plan), expected, lanes + " lanes");
    }
    assertThat(Plans.fixture("qwen2_moe").withCodecs(alike).plan().sendsHomeHidden())
        .as("a gate reads the token itself")
        .isTrue();
    assertThat(Plans.fixture("llama4").withCodecs(alike).plan().sendsHomeHidden())
        .as("weighed codes are not the token")
        .isTrue();
  }

  /** All four codecs at once, each of another kind: replicated is the same layer without lanes. */
  @ParameterizedTest
  @ValueSource(strings = {"qwen3_moe", "qwen2_moe", "llama4", "deepseek_v3"})
  void lanesGiveTheBitsOfTheReplicatedLayer(String family, SparkSession spark) {
    ActivationCodec block = ActivationCodec.of(ActivationScheme.fp8PerBlock(48, ScaleType.E8M0));
    ActivationCodec tensor =
        ActivationCodec.perTensor(ActivationScheme.fp8(Granularity.TENSOR), 0.01f);
    ActivationCodec nvfp4 = ActivationCodec.perTensor(ActivationScheme.NVFP4, 0.002f);
    ActivationCodec token = ActivationCodec.of(ActivationScheme.int8(Granularity.TOKEN));
    for (LayerCodecs codecs :
        List.of(
            new LayerCodecs(token, block, tensor, nvfp4),
            new LayerCodecs(block, token, block, tensor))) {
      Plans plans = Plans.fixture(family).withCodecs(codecs);
      Tokens tokens = tokens(plans);
      SortedMap<Long, byte[]> expected = Flow.replicated(tokens.rows(spark, 2), plans.plan());
      for (int lanes : LANES) {
        SortedMap<Long, byte[]> outputs =
            Flow.outputs(tokens.rows(spark, 3), plans.withLanes(lanes).plan());
        assertSameBytes(outputs, expected, lanes + " lanes");
      }
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void everyLaneCountGivesTheBitsOfThePlainLayer(String family, Scheme scheme, SparkSession spark) {
    for (Backend backend : List.of(Backend.SCALAR, Backend.VECTOR)) {
      Plans plans = Plans.fixture(family).withBackend(backend).withCodec(scheme.codec());
      Tokens tokens = tokens(plans);
      SortedMap<Long, byte[]> expected = plain(plans, tokens, scheme.wire());
      // How lanes split tokens and their codes does not depend on who computes.
      for (int lanes : backend == Backend.VECTOR ? LANES : new int[] {2}) {
        SortedMap<Long, byte[]> outputs =
            Flow.outputs(tokens.rows(spark, 3), plans.withLanes(lanes).plan());
        assertSameBytes(outputs, expected, "%s on %d lanes".formatted(backend, lanes));
      }
    }
  }

  @Test
  void lanesOfTheseTestsAreUnequalAndOneIsEmpty(SparkSession spark) {
    for (String family : List.of("qwen3_moe", "qwen2_moe", "llama4")) {
      Plans plans = Plans.fixture(family).withLanes(5);
      int[] tokensOf = new int[5];
      for (Row row : Flow.blocks(tokens(plans).rows(spark, 3), plans.plan()).collectAsList()) {
        tokensOf[row.getInt(0)] += row.getInt(1);
      }
      assertThat(tokensOf[EMPTY_LANE]).as(family).isZero();
      assertThat(Arrays.stream(tokensOf).distinct().count()).as(family).isGreaterThan(2);
    }
  }

  @Test
  void scalesTravelWhereTheSchemeSaysSo(SparkSession spark) {
    for (Scheme scheme : schemes()) {
      Plans plans = Plans.fixture("qwen2_moe").withLanes(2).withCodec(scheme.codec());
      int perToken = (int) scheme.codec().scheme().scaleBytes(plans.layer().spec().hidden());
      for (Row row : Flow.blocks(tokens(plans).rows(spark, 1), plans.plan()).collectAsList()) {
        DispatchBlock block = DispatchBlock.of(row);
        assertThat(block.scales()).as(scheme.name()).hasSize(block.tokens() * perToken);
      }
    }
  }

  @Test
  void sharedExpertsSeeTheUnquantizedToken(SparkSession spark) {
    Plans plans =
        Plans.fixture("qwen2_moe")
            .withLanes(2)
            .withCodec(ActivationCodec.of(ActivationScheme.int8(Granularity.TOKEN)));
    Tokens tokens = tokens(plans);
    for (Row row : Flow.blocks(tokens.rows(spark, 1), plans.plan()).collectAsList()) {
      DispatchBlock block = DispatchBlock.of(row);
      List<Float> expected = new ArrayList<>();
      for (int t = 0; t < block.tokens(); t++) {
        if (block.home()[t] != 0) {
          for (float value : tokens.vector(Tokens.number(block.tokenIds()[t]))) {
            expected.add(value);
          }
        }
      }
      assertThat(Vectors.floats(block.homeHiddenOrNull()))
          .containsExactly(expected.toArray(Float[]::new));
    }
  }

  @Test
  void scalesOfPartsWouldShow(SparkSession spark) {
    Plans plans = Plans.fixture("qwen3_moe");
    Tokens all = tokens(plans);
    // every fifth token is the largest: leave those out of the second half
    List<float[]> quiet =
        all.vectors().stream()
            .filter(vector -> PlainLayer.amax(vector) < PlainLayer.amax(all.joined()) / 5)
            .toList();
    Tokens part = new Tokens(quiet);
    SortedMap<Long, byte[]> whole =
        Flow.outputs(part.rows(spark, 1), scaledBy(plans, PlainLayer.amax(all.joined())));
    SortedMap<Long, byte[]> alone =
        Flow.outputs(part.rows(spark, 1), scaledBy(plans, PlainLayer.amax(part.joined())));
    assertThat(differing(whole, alone)).isPositive();
  }

  @Test
  void planWithoutTheTensorsScaleCannotBeMade() {
    assertThatThrownBy(() -> ActivationCodec.of(PER_TENSOR))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("it does not travel with the rows");
    assertThatThrownBy(() -> ActivationCodec.perTensor(PER_TENSOR, Float.NaN))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @ParameterizedTest
  @MethodSource("schemes")
  void zeroedScalesChangeEveryToken(Scheme scheme, SparkSession spark) {
    Plans plans = Plans.fixture("qwen3_moe").withLanes(2).withCodec(scheme.codec());
    LayerPlan plan = plans.plan();
    Tokens tokens = tokens(plans);
    Dataset<Row> blocks = Flow.blocks(tokens.rows(spark, 2), plan);
    SortedMap<Long, byte[]> expected = Flow.byId(combined(blocks, plan));
    SortedMap<Long, byte[]> actual =
        Flow.byId(combined(withScales(blocks, plan, scales -> new byte[scales.length]), plan));
    boolean travels = scheme.codec().scheme().scalesPerToken(plan.spec().hidden()) > 0;
    assertThat(differing(actual, expected)).isEqualTo(travels ? TOKENS : 0);
  }

  @Test
  void lostScalesFailTheTask(SparkSession spark) {
    LayerPlan plan =
        Plans.fixture("qwen3_moe")
            .withCodec(ActivationCodec.of(ActivationScheme.int8(Granularity.TOKEN)))
            .plan();
    Tokens tokens = tokens(Plans.fixture("qwen3_moe"));
    Dataset<Row> blocks =
        withScales(Flow.blocks(tokens.rows(spark, 1), plan), plan, scales -> new byte[0]);
    assertThatThrownBy(() -> combined(blocks, plan).collectAsList())
        .hasStackTraceContaining("a block for lane 0 has 0 bytes of scales, expected 148");
  }

  @Test
  void lostInputOfTheSharedExpertFailsTheTask(SparkSession spark) {
    LayerPlan plan =
        Plans.fixture("qwen2_moe")
            .withCodec(ActivationCodec.of(ActivationScheme.int8(Granularity.TOKEN)))
            .plan();
    Tokens tokens = tokens(Plans.fixture("qwen2_moe"));
    Dataset<Row> blocks =
        withColumn(Flow.blocks(tokens.rows(spark, 1), plan), plan, "home_hidden", hidden -> null);
    assertThatThrownBy(() -> combined(blocks, plan).collectAsList())
        .hasStackTraceContaining("a block for lane 0 has 0 bytes of home_hidden, expected 9472");
  }

  private static LayerPlan scaledBy(Plans plans, float amax) {
    float scale = ActivationCodec.tensorScale(ActivationScheme.int8(Granularity.TENSOR), amax);
    return plans.withCodec(ActivationCodec.perTensor(PER_TENSOR, scale)).plan();
  }

  private static Dataset<Row> combined(Dataset<Row> blocks, LayerPlan plan) {
    return Flow.combined(Flow.partials(blocks, plan), plan);
  }

  private static Dataset<Row> withScales(
      Dataset<Row> blocks, LayerPlan plan, UnaryOperator<byte[]> change) {
    return withColumn(blocks, plan, "scales", change);
  }

  private static Dataset<Row> withColumn(
      Dataset<Row> blocks, LayerPlan plan, String column, UnaryOperator<byte[]> change) {
    List<Row> changed = new ArrayList<>();
    for (Row row : blocks.collectAsList()) {
      Object[] values = new Object[row.length()];
      for (int i = 0; i < values.length; i++) {
        values[i] = i == row.fieldIndex(column) ? change.apply(row.getAs(i)) : row.get(i);
      }
      changed.add(RowFactory.create(values));
    }
    return Flow.table(blocks.sparkSession(), changed, DispatchBlock.schema(plan.tokens()), 1);
  }

  /** Tokens that all avoid one of five lanes. */
  private static Tokens tokens(Plans plans) {
    ExpertPlacement five = ExpertPlacement.linear(plans.layer().spec().experts(), 5);
    try (PlainLayer plain = new PlainLayer(plans.layer(), Backend.SCALAR)) {
      Tokens candidates =
          Tokens.random(20 * TOKENS, plans.layer().spec().hidden(), new RandomTensors(42));
      List<float[]> chosen =
          candidates.vectors().stream()
              .filter(
                  vector ->
                      Arrays.stream(plain.route(vector).ids())
                          .noneMatch(expert -> five.laneOf(expert, 0) == EMPTY_LANE))
              .limit(TOKENS)
              .toList();
      assertThat(chosen).hasSize(TOKENS);
      return new Tokens(chosen);
    }
  }

  private static SortedMap<Long, byte[]> plain(Plans plans, Tokens tokens, PlainLayer.Wire wire) {
    return plain(plans, tokens, wire, input -> input);
  }

  private static SortedMap<Long, byte[]> plain(
      Plans plans, Tokens tokens, PlainLayer.Wire wire, PlainLayer.Wire sharedWire) {
    SortedMap<Long, byte[]> outputs = new TreeMap<>();
    try (PlainLayer plain = new PlainLayer(plans.layer(), plans.backend())) {
      for (int t = 0; t < tokens.size(); t++) {
        float[] output = plain.forward(tokens.vector(t), wire, sharedWire);
        outputs.put(Tokens.id(t), Vectors.encode(output, 0, output.length));
      }
    }
    return outputs;
  }

  private static void assertSameBytes(
      SortedMap<Long, byte[]> actual, SortedMap<Long, byte[]> expected, String context) {
    assertThat(actual.keySet()).as(context).isEqualTo(expected.keySet());
    assertThat(differing(actual, expected)).as("tokens that differ, %s", context).isZero();
  }

  private static long differing(SortedMap<Long, byte[]> a, SortedMap<Long, byte[]> b) {
    return a.entrySet().stream()
        .filter(entry -> !Arrays.equals(entry.getValue(), b.get(entry.getKey())))
        .count();
  }
}
