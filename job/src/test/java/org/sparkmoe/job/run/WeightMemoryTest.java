package org.sparkmoe.job.run;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;
import java.util.SortedMap;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.job.plan.ExecutorMemory;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.plan.Planner;
import org.sparkmoe.job.run.Runs.Way;
import org.sparkmoe.kernels.backend.Backend;

/**
 * A run that holds only as many experts as it has task slots gives the rows of one that holds all.
 */
@ExtendWith(LocalSpark.class)
final class WeightMemoryTest {
  /** A gated shared expert, 12 experts, top 4. */
  private static final Fixtures.Block BLOCK =
      Fixtures.blocks().stream()
          .filter(block -> block.family().equals("qwen2_moe"))
          .findFirst()
          .orElseThrow();

  @TempDir private Path folder;

  @ParameterizedTest
  @CsvSource({"SCALAR,0", "VECTOR,0", "VECTOR,3"})
  void aSmallStoreGivesTheSameRows(Backend backend, int lanes, SparkSession spark)
      throws IOException {
    TokenOptions tokens = TokenOptions.of(Runs.inputTensor(BLOCK));
    Way way = new Way(backend, lanes);
    JobRequest all = Runs.request(BLOCK, tokens, folder.resolve("all"), way);
    ExecutorMemory memory = Planner.of(all, spark.sparkContext()).memory();
    long least = memory.layer().least(memory.tasks());
    assertThat(least).isLessThan(memory.layer().whole());
    JobRequest few =
        Runs.request(BLOCK, tokens, folder.resolve("few"), way, OptionalLong.of(least));

    Runs.run(spark, all);
    Runs.run(spark, few);

    SortedMap<Long, byte[]> expected = Runs.outputs(spark, folder.resolve("all"));
    SortedMap<Long, byte[]> actual = Runs.outputs(spark, folder.resolve("few"));
    assertThat(actual.keySet()).isEqualTo(expected.keySet()).isNotEmpty();
    expected.forEach((id, row) -> assertThat(actual.get(id)).as("token %d", id).isEqualTo(row));
    assertThat(Files.readString(folder.resolve("few/manifest.json")))
        .contains("\"store_bytes\" : " + least, "\"weight-memory\" : " + least);
    assertThat(Files.readString(folder.resolve("all/manifest.json"))).doesNotContain("store_bytes");
  }
}
