package org.sparkmoe.job.run;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.apache.spark.SparkEnv;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.kernels.backend.Backend;

/** What dispatch and combine leave on the executors' disks, with the settings that we hand out. */
@ExtendWith(LocalSpark.class)
final class ShuffleFilesTest {
  private static final String CLEANUP = "spark.sql.classic.shuffleDependency.fileCleanup.enabled";
  private static final long DEADLINE_SECONDS = 60;

  @Test
  void shuffleFilesGoWithTheRun(SparkSession spark, @TempDir Path folder) throws Exception {
    Fixtures.Block block = Fixtures.blocks().getFirst();
    TokenOptions tokens = TokenOptions.of(Runs.inputTensor(block));
    Runs.Way lanes = new Runs.Way(Backend.VECTOR, 2);

    Set<Integer> before = shuffles();
    RunSummary summary;
    spark.conf().set(CLEANUP, ours());
    try {
      summary = Runs.run(spark, Runs.request(block, tokens, folder.resolve("run"), lanes));
    } finally {
      spark.conf().unset(CLEANUP);
    }
    assertThat(summary.stages())
        .filteredOn(step -> step.stage() == Stage.DISPATCH || step.stage() == Stage.EXPERTS)
        .hasSize(2)
        .allSatisfy(step -> assertThat(step.shuffleBytes()).isPositive());
    // Executors are asked to remove them, and the answer is not waited for.
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(DEADLINE_SECONDS);
    while (!added(before).isEmpty() && System.nanoTime() < deadline) {
      TimeUnit.MILLISECONDS.sleep(50);
    }
    assertThat(added(before)).isEmpty();
  }

  private static String ours() throws IOException {
    Properties settings = new Properties();
    try (Reader file = Files.newBufferedReader(Path.of("..", "conf", "spark-defaults.conf"))) {
      settings.load(file);
    }
    return settings.getProperty(CLEANUP);
  }

  private static Set<Integer> added(Set<Integer> before) {
    Set<Integer> now = shuffles();
    now.removeAll(before);
    return now;
  }

  /** Shuffles with files here. */
  private static Set<Integer> shuffles() {
    Set<Integer> ids = new TreeSet<>();
    SparkEnv.get()
        .blockManager()
        .migratableResolver()
        .getStoredShuffles()
        .foreach(
            block -> {
              ids.add(block.shuffleId());
              return null;
            });
    return ids;
  }
}
