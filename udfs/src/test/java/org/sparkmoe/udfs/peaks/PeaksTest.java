package org.sparkmoe.udfs.peaks;

import static org.apache.spark.sql.functions.col;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.datasets.checkpoint.LayerTensors;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.quant.ActivationScheme;
import org.sparkmoe.kernels.quant.ActivationScheme.Granularity;
import org.sparkmoe.kernels.quant.LayerCodecs;
import org.sparkmoe.kernels.quant.LayerPeaks;
import org.sparkmoe.kernels.quant.LayerSchemes;
import org.sparkmoe.kernels.quant.ScaledScheme;
import org.sparkmoe.kernels.testing.RandomTensors;
import org.sparkmoe.udfs.dispatch.DispatchBlock;
import org.sparkmoe.udfs.experts.ExpertFunction;
import org.sparkmoe.udfs.gating.RouteFunction;
import org.sparkmoe.udfs.gating.RouteTally;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.replicated.ReplicatedFunction;
import org.sparkmoe.udfs.testing.Flow;
import org.sparkmoe.udfs.testing.PlainLayer;
import org.sparkmoe.udfs.testing.Plans;
import org.sparkmoe.udfs.testing.Tokens;
import org.sparkmoe.udfs.tokens.Vectors;

/** Scales of the whole table come from all of it, however it is cut up. */
@ExtendWith(LocalSpark.class)
final class PeaksTest {
  private static final int TOKENS = 23;

  private static final ScaledScheme DYNAMIC =
      ScaledScheme.dynamic(ActivationScheme.fp8(Granularity.TENSOR));

  private static final LayerSchemes ALL_DYNAMIC =
      new LayerSchemes(DYNAMIC, DYNAMIC, DYNAMIC, DYNAMIC);

  // With weights on the input beside a shared expert, and with a gated one.
  @ParameterizedTest
  @ValueSource(strings = {"llama4", "qwen2_moe"})
  void areThoseOfAllTokensHoweverTheyAreCutUp(String family, SparkSession spark) {
    Plans plans = Plans.fixture(family);
    RandomTensors random = new RandomTensors(61);
    Tokens tokens = Tokens.random(TOKENS, plans.layer().spec().hidden(), random);
    LayerPeaks expected = expected(plans, tokens);
    SortedMap<Long, byte[]> first = null;
    for (int partitions : new int[] {1, 4}) {
      Dataset<Row> rows = tokens.rows(spark, partitions);
      LayerPeaks inputs = inputs(rows, plans.plan());
      assertThat(inputs).isEqualTo(new LayerPeaks(expected.input(), 0, expected.sharedInput(), 0));
      for (int lanes : partitions == 1 ? new int[] {0} : new int[] {1, 5}) {
        LayerCodecs measuring = ALL_DYNAMIC.measuringCodecs(inputs);
        Plans cut = plans.withLanes(Math.max(1, lanes));
        LayerPeaks inner = inner(rows, cut.withCodecs(measuring).plan(), lanes == 0);
        assertThat(inner.inner())
            .as("%d partitions, %d lanes, %s", partitions, lanes, random)
            .isCloseTo(expected.inner(), within(expected.inner() * 1e-6f));
        assertThat(inner.sharedInner())
            .isCloseTo(expected.sharedInner(), within(expected.sharedInner() * 1e-6f));
        LayerPlan plan = cut.withCodecs(ALL_DYNAMIC.codecs(inputs.max(inner))).plan();
        SortedMap<Long, byte[]> outputs =
            lanes == 0 ? Flow.replicated(rows, plan) : Flow.outputs(rows, plan);
        first = first == null ? outputs : first;
        assertThat(outputs.keySet()).isEqualTo(first.keySet());
        for (long id : outputs.keySet()) {
          assertThat(outputs.get(id)).as("token %d", id).isEqualTo(first.get(id));
        }
      }
    }
  }

  @Test
  void rowsThatCannotBeScoredDoNotCount(SparkSession spark) {
    Plans plans = Plans.fixture("qwen3_moe");
    int hidden = plans.layer().spec().hidden();
    float[] good = new RandomTensors(62).normals(hidden, 1);
    float[] bad = good.clone();
    bad[0] = 1e30f;
    bad[1] = Float.NaN;
    List<Row> rows = new ArrayList<>();
    rows.add(RowFactory.create(1L, Vectors.encode(bad, 0, hidden)));
    rows.add(RowFactory.create(null, Vectors.encode(bad, 0, hidden)));
    rows.add(RowFactory.create(2L, Vectors.encode(bad, 0, 1)));
    rows.add(RowFactory.create(3L, Vectors.encode(good, 0, hidden)));
    Dataset<Row> table =
        Flow.table(spark, rows, new Tokens(List.of(good)).rows(spark, 1).schema(), 2);
    assertThat(inputs(table, plans.plan()).input()).isEqualTo(PlainLayer.amax(good));
  }

  @Test
  void noTokensHaveNone(SparkSession spark) {
    Plans plans = Plans.fixture("llama4").withLanes(5);
    Dataset<Row> rows = Tokens.random(1, 64, new RandomTensors(63)).rows(spark, 3).limit(0);
    assertThat(inputs(rows, plans.plan())).isEqualTo(LayerPeaks.NONE);
    for (boolean replicated : new boolean[] {true, false}) {
      LayerPlan plan = plans.withCodecs(ALL_DYNAMIC.measuringCodecs(LayerPeaks.NONE)).plan();
      assertThat(inner(rows, plan, replicated)).isEqualTo(LayerPeaks.NONE);
    }
    assertThat(Flow.outputs(rows, plans.withCodecs(ALL_DYNAMIC.codecs(LayerPeaks.NONE)).plan()))
        .isEmpty();
  }

  @Test
  void aTaskThatRunsTwiceChangesNothing() {
    ActivationPeaks all = new ActivationPeaks();
    assertThat(all.isZero()).isTrue();
    ActivationPeaks task = new ActivationPeaks();
    task.add(new LayerPeaks(1, 0, 3, 0));
    task.add(new LayerPeaks(2, 1, 1, 0));
    all.merge(task);
    ActivationPeaks once = all.copy();
    all.merge(task);
    assertThat(all.value()).isEqualTo(once.value()).isEqualTo(new LayerPeaks(2, 1, 3, 0));
    task.reset();
    assertThat(task.isZero()).isTrue();
    assertThat(once.isZero()).isFalse();
  }

  private static LayerPeaks inputs(Dataset<Row> rows, LayerPlan plan) {
    RouteTally tally = new RouteTally(plan.spec().experts());
    rows.sparkSession().sparkContext().register(tally, "routes by expert");
    ActivationPeaks peaks = registered(rows);
    run(
        rows.mapPartitions(
            new RouteFunction(plan, tally, peaks), Encoders.row(RouteFunction.SCHEMA)));
    return peaks.value();
  }

  private static LayerPeaks inner(Dataset<Row> rows, LayerPlan plan, boolean replicated) {
    ActivationPeaks peaks = registered(rows);
    MapPartitionsFunction<Row, Row> function =
        replicated
            ? new ReplicatedFunction(plan, Flow.times(rows, plan))
            : new ExpertFunction(plan, Flow.times(rows, plan));
    Dataset<Row> given =
        replicated
            ? rows
            : Flow.blocks(rows, plan)
                .repartitionById(plan.placement().lanes(), col(DispatchBlock.LANE));
    run(
        given.mapPartitions(
            new PeakFunction(plan, function, peaks), Encoders.row(plan.tokens().outputSchema())));
    return peaks.value();
  }

  private static ActivationPeaks registered(Dataset<Row> rows) {
    ActivationPeaks peaks = new ActivationPeaks();
    rows.sparkSession().sparkContext().register(peaks, "largest magnitudes");
    return peaks;
  }

  private static void run(Dataset<Row> rows) {
    rows.write().format("noop").mode("overwrite").save();
  }

  /** Token by token; the experts' inputs quantized with the scale of all. */
  private static LayerPeaks expected(Plans plans, Tokens tokens) {
    MoeLayerSpec spec = plans.layer().spec();
    float input = 0;
    float inner = 0;
    float sharedInner = 0;
    float plain = PlainLayer.amax(tokens.joined());
    try (PlainLayer layer = new PlainLayer(plans.layer(), Backend.SCALAR);
        Arena arena = Arena.ofConfined();
        LayerTensors tensors = plans.layer().open(new Configuration(false))) {
      for (int t = 0; t < tokens.size(); t++) {
        input = Math.max(input, PlainLayer.amax(layer.expertInput(tokens.vector(t))));
      }
      ActivationCodec routed = DYNAMIC.codec(input);
      ActivationCodec shared = DYNAMIC.codec(plain);
      for (int t = 0; t < tokens.size(); t++) {
        float[] x = layer.expertInput(tokens.vector(t));
        routed.requantize(x, 0, x.length);
        for (int expert : layer.route(tokens.vector(t)).ids()) {
          inner = Math.max(inner, intermediate(tensors.expert(expert, arena), x));
        }
        if (spec.shared().isPresent()) {
          float[] seen = tokens.vector(t).clone();
          shared.requantize(seen, 0, seen.length);
          sharedInner =
              Math.max(sharedInner, intermediate(tensors.sharedExpert(arena).orElseThrow(), seen));
        }
      }
    }
    return new LayerPeaks(input, inner, plain, sharedInner);
  }

  /** The largest of |silu(W1 x) · W3 x|. */
  private static float intermediate(ExpertWeights weights, float[] x) {
    double largest = 0;
    for (int i = 0; i < weights.intermediate(); i++) {
      double gate = 0;
      double up = 0;
      for (int h = 0; h < x.length; h++) {
        gate += weights.w1().value(i, h) * x[h];
        up += weights.w3().orElseThrow().value(i, h) * x[h];
      }
      largest = Math.max(largest, Math.abs(gate / (1 + Math.exp(-gate)) * up));
    }
    return (float) largest;
  }
}
