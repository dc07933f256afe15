package org.sparkmoe.job.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.ByteArrayOutputStream;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
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

  /** Of both forms, in turn; 0 stands for replicated. */
  private static final int[] LANES = {0, 1, 3, 5};

  @TempDir private Path folder;

  private static List<Fixtures.Block> blocks() {
    return Fixtures.blocks();
  }

  /**
   * In one form each; every sixth block in the other form too, and on the other backends, whose
   * kernels all blocks pin below the job.
   */
  private static List<Way> ways(Fixtures.Block block) {
    int index = blocks().indexOf(block);
    List<Way> ways = new ArrayList<>();
    ways.add(new Way(Backend.VECTOR, LANES[index % LANES.length]));
    if (index % 6 == 0) {
      ways.add(new Way(Backend.VECTOR, LANES[(index + 2) % LANES.length]));
      ways.add(new Way(Backend.SCALAR, 3));
      // Left out only where its library cannot be loaded.
      if (Probes.gather(List.of(Backend.ONEDNN)).refusal(Backend.ONEDNN).isEmpty()) {
        ways.add(new Way(Backend.ONEDNN, 0));
      }
    }
    return ways;
  }

  @ParameterizedTest
  @MethodSource("blocks")
  void agreesWithTransformers(Fixtures.Block block, SparkSession spark) {
    Path input = folder.resolve("tokens");
    Runs.input(spark, block).write().parquet(input.toString());
    try (SafetensorsFile reference = Fixtures.reference(block.family())) {
      float[] expected = ReferenceRoutes.floats(reference, block.module() + ".output");
      Map<Backend, SortedMap<Long, byte[]>> first = new EnumMap<>(Backend.class);
      for (Way way : ways(block)) {
        Path output = folder.resolve(way.toString());
        RunSummary summary =
            Runs.run(spark, Runs.request(block, TokenOptions.of(input.toString()), output, way));
        assertThat(summary.errors()).isZero();
        SortedMap<Long, byte[]> outputs = Runs.outputs(spark, output);
        Rows.assertClose(joined(outputs), expected, 64, OUTPUT_TOLERANCE, block + " " + way);
        assertRoutes(spark, output, ReferenceRoutes.of(reference, block), way);
        first.putIfAbsent(way.backend(), outputs);
        assertSameBytes(outputs, first.get(way.backend()), way);
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
