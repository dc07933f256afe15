package org.sparkmoe.job.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.nio.file.Path;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.tokens.LocalSpark;

@ExtendWith(LocalSpark.class)
final class ExpertLoadsTest {
  @TempDir private Path run;

  private void write(SparkSession spark, String query) {
    spark.sql(query).write().parquet(run.resolve("expert_stats").toString());
  }

  @Test
  void readsThemInTheOrderOfExperts(SparkSession spark) {
    write(spark, "SELECT * FROM VALUES (2, 7L), (0, 5L), (1, 0L) AS t(expert_id, tokens)");
    assertThat(ExpertLoads.of(spark, run.toString(), 3)).containsExactly(5, 0, 7);
  }

  @Test
  void refusesARunOfAnotherLayer(SparkSession spark) {
    write(spark, "SELECT * FROM VALUES (0, 5L), (1, 6L), (2, 7L) AS t(expert_id, tokens)");
    assertRefused(spark, 4, "has 3 experts, this layer has 4");
  }

  @Test
  void refusesAnExpertWithoutACount(SparkSession spark) {
    write(spark, "SELECT * FROM VALUES (0, 5L), (1, NULL) AS t(expert_id, tokens)");
    assertRefused(spark, 2, "an expert without a count");
  }

  @Test
  void refusesAnotherTable(SparkSession spark) {
    write(spark, "SELECT 1 AS token_id");
    assertRefused(spark, 2, "is no table of expert loads");
  }

  @Test
  void refusesAFolderThatIsNotThere(SparkSession spark) {
    assertRefused(spark, 2, "it does not exist; --expert-stats takes the folder of a run");
  }

  private void assertRefused(SparkSession spark, int experts, String reason) {
    assertThatExceptionOfType(InputException.class)
        .isThrownBy(() -> ExpertLoads.of(spark, run.toString(), experts))
        .withMessageContaining(reason)
        .satisfies(e -> assertThat(e.getMessage().lines()).hasSize(1));
  }
}
