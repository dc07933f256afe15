package org.sparkmoe.job.run;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.SortedMap;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.checkpoint.ReferenceRoutes;
import org.sparkmoe.datasets.safetensors.SafetensorsFile;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.plan.JobRequest.ActivationQuant;
import org.sparkmoe.job.run.Runs.Way;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.Probes;
import org.sparkmoe.kernels.testing.Rows;

/**
 * Every quantized format through the whole job, Parquet in and Parquet out, against its own
 * emulation in f64; and every way of dispatching against the others, bit for bit.
 */
@ExtendWith(LocalSpark.class)
@Execution(ExecutionMode.CONCURRENT)
final class QuantFixtureJobTest {
  private static final String MODULE = "model.layers.0.mlp";

  /** How each fixture's activations travel. */
  private static final Map<String, String> CODES =
      Map.of(
          "fp8_block128", "e4m3 per 128 values, f32 scales",
          "fp8_channel_token", "e4m3 per token",
          "fp8_tensor_static", "e4m3 per tensor",
          "int8_w8a8", "int8 per token",
          "nvfp4_w4a4", "e2m1 per 16 values, e4m3 scales");

  private static final double WEIGHTS_ONLY = 1e-3;

  /** Where a rounding of activations may go the other way. */
  private static final double WITH_TIES = 1e-2;

  private static final double MEDIAN = 1e-3;

  @TempDir private Path folder;

  private static Stream<String> fixtures() {
    return Fixtures.quantized().stream();
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void agreesWithItsEmulation(String name, SparkSession spark) {
    Path model = Fixtures.quant(name);
    Path input = folder.resolve("tokens");
    String tensor = model.resolve("reference.safetensors") + "#" + MODULE + ".input";
    spark.read().format("moe-safetensors").load(tensor).write().parquet(input.toString());
    float[] expected;
    try (SafetensorsFile reference = SafetensorsFile.open(model.resolve("reference.safetensors"))) {
      expected = ReferenceRoutes.floats(reference, MODULE + ".output");
    }
    Map<Backend, SortedMap<Long, byte[]>> first = new EnumMap<>(Backend.class);
    for (Way way : ways(name)) {
      Path output = folder.resolve(way.toString());
      JobRequest request =
          Runs.request(
              model,
              0,
              TokenOptions.of(input.toString()),
              output,
              way,
              ActivationQuant.AUTO,
              OptionalLong.empty());
      RunSummary summary = Runs.run(spark, request);
      assertThat(summary.errors()).isZero();
      assertThat(summary.codecs().input().scheme().label())
          .isEqualTo(CODES.getOrDefault(name, "f32"));
      SortedMap<Long, byte[]> outputs = Runs.outputs(spark, output);
      first.putIfAbsent(way.backend(), outputs);
      assertSame(outputs, first.get(way.backend()), name + " " + way);
    }
    first.forEach((backend, outputs) -> assertClose(outputs, expected, name, backend));
  }

  /** In more ways where codes travel. Every backend's kernels are pinned below the job. */
  private static List<Way> ways(String name) {
    if (!CODES.containsKey(name)) {
      return List.of(new Way(Backend.VECTOR, 5));
    }
    List<Way> ways = new ArrayList<>();
    ways.add(new Way(Backend.VECTOR, 0));
    ways.add(new Way(Backend.VECTOR, 2));
    // Left out only where its library cannot be loaded.
    if (Probes.gather(List.of(Backend.ONEDNN)).refusal(Backend.ONEDNN).isEmpty()) {
      ways.add(new Way(Backend.ONEDNN, 5));
    }
    return ways;
  }

  private static void assertClose(
      SortedMap<Long, byte[]> outputs, float[] expected, String name, Backend backend) {
    int width = expected.length / outputs.size();
    double[] errors = new double[outputs.size()];
    for (int row = 0; row < errors.length; row++) {
      float[] actual = Rows.floats(MemorySegment.ofArray(outputs.get((long) row)));
      errors[row] = relative(actual, Rows.row(expected, width, row));
    }
    boolean codes = CODES.containsKey(name);
    for (int row = 0; row < errors.length; row++) {
      assertThat(errors[row])
          .as("%s on %s, row %d", name, backend.option(), row)
          .isLessThanOrEqualTo(codes ? WITH_TIES : WEIGHTS_ONLY);
    }
    Arrays.sort(errors);
    assertThat(errors[errors.length / 2])
        .as("median of %s on %s", name, backend.option())
        .isLessThanOrEqualTo(MEDIAN);
  }

  private static double relative(float[] actual, float[] expected) {
    assertThat(actual).hasSameSizeAs(expected);
    double error = 0;
    double norm = 0;
    for (int i = 0; i < actual.length; i++) {
      error += Math.pow((double) actual[i] - expected[i], 2);
      norm += Math.pow(expected[i], 2);
    }
    return Math.sqrt(error / norm);
  }

  private static void assertSame(
      SortedMap<Long, byte[]> actual, SortedMap<Long, byte[]> expected, String context) {
    assertThat(actual.keySet()).as(context).isEqualTo(expected.keySet());
    actual.forEach(
        (token, output) ->
            assertThat(output).as("%s, token %d", context, token).isEqualTo(expected.get(token)));
  }
}
