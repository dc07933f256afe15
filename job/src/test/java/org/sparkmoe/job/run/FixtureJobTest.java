package org.sparkmoe.job.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.ByteArrayOutputStream;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
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
import org.sparkmoe.job.run.Runs.Way;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.Probes;
import org.sparkmoe.kernels.testing.Rows;

/**
 * Every fixture through the whole job, Parquet in and Parquet out, against Hugging Face
 * transformers; and every way of dispatching against the others, bit for bit.
 */
@ExtendWith(LocalSpark.class)
@Execution(ExecutionMode.CONCURRENT)
final class FixtureJobTest {
  private static final double OUTPUT_TOLERANCE = 2e-5;
  private static final float WEIGHT_TOLERANCE = 1e-5f;

  @TempDir private Path folder;

  private static List<Fixtures.Block> blocks() {
    return Fixtures.blocks();
  }

  /**
   * Lanes to try, 0 for the replicated form. How lanes split a layer does not depend on the
   * backend, so one of them takes several and the others one.
   */
  private static int[] lanes(Backend backend) {
    return switch (backend) {
      case VECTOR -> new int[] {0, 1, 5};
      case SCALAR -> new int[] {3};
      default -> new int[] {0};
    };
  }

  /** oneDNN is left out only where its library cannot be loaded. */
  private static List<Backend> runnable() {
    return Stream.of(Backend.SCALAR, Backend.VECTOR, Backend.ONEDNN)
        .filter(backend -> Probes.gather(List.of(backend)).refusal(backend).isEmpty())
        .toList();
  }

  @ParameterizedTest
  @MethodSource("blocks")
  void agreesWithTransformers(Fixtures.Block block, SparkSession spark) {
    Path input = folder.resolve("tokens");
    Runs.input(spark, block).write().parquet(input.toString());
    try (SafetensorsFile reference = Fixtures.reference(block.family())) {
      float[] expected = ReferenceRoutes.floats(reference, block.module() + ".output");
      for (Backend backend : runnable()) {
        SortedMap<Long, byte[]> first = null;
        for (int lanes : lanes(backend)) {
          Way way = new Way(backend, lanes);
          Path output = folder.resolve(way.toString());
          RunSummary summary =
              Runs.run(spark, Runs.request(block, TokenOptions.of(input.toString()), output, way));
          assertThat(summary.errors()).isZero();
          SortedMap<Long, byte[]> outputs = Runs.outputs(spark, output);
          Rows.assertClose(joined(outputs), expected, 64, OUTPUT_TOLERANCE, block + " " + way);
          assertRoutes(spark, output, ReferenceRoutes.of(reference, block), way);
          first = first == null ? outputs : first;
          assertSameBytes(outputs, first, way);
        }
      }
    }
  }

  private static void assertRoutes(
      SparkSession spark, Path run, Optional<List<Map<Integer, Float>>> expected, Way way) {
    if (expected.isEmpty()) {
      return;
    }
    List<Map<Integer, Float>> routes = expected.get();
    TreeMap<Long, TreeMap<Integer, Float>> actual = new TreeMap<>();
    for (Row row : Runs.table(spark, run, "routes").collectAsList()) {
      actual
          .computeIfAbsent(row.getLong(0), absent -> new TreeMap<>())
          .put(row.getInt(2), row.getFloat(3));
    }
    assertThat(actual).hasSize(routes.size());
    actual.forEach(
        (token, chosen) -> {
          Map<Integer, Float> wanted = routes.get(token.intValue());
          assertThat(chosen.keySet()).as("%s, token %d", way, token).isEqualTo(wanted.keySet());
          wanted.forEach(
              (id, weight) ->
                  assertThat(chosen.get(id))
                      .as("%s, token %d, expert %d", way, token, id)
                      .isCloseTo(weight, within(WEIGHT_TOLERANCE * Math.max(1, weight))));
        });
  }

  private static void assertSameBytes(
      SortedMap<Long, byte[]> actual, SortedMap<Long, byte[]> expected, Way way) {
    assertThat(actual.keySet()).isEqualTo(expected.keySet());
    actual.forEach(
        (token, output) ->
            assertThat(output).as("%s, token %d", way, token).isEqualTo(expected.get(token)));
  }

  private static float[] joined(SortedMap<Long, byte[]> outputs) {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    outputs.values().forEach(all::writeBytes);
    return Rows.floats(MemorySegment.ofArray(all.toByteArray()));
  }
}
