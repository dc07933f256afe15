package org.sparkmoe.udfs.gating;

import static org.assertj.core.api.Assertions.assertThat;

import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.sparkmoe.datasets.tokens.LocalSpark;

@ExtendWith(LocalSpark.class)
final class RouteTallyTest {
  @Test
  void addsUpOverTasks() {
    RouteTally all = new RouteTally(3);
    assertThat(all.isZero()).isTrue();
    all.merge(task(1, 0.25f));
    all.merge(task(2, 0.5f));
    all.merge(task(2, 0.125f));
    assertThat(all.rows()).isEqualTo(6);
    assertThat(all.errors()).isEqualTo(3);
    assertThat(all.routes()).isEqualTo(3);
    assertThat(all.tokens(0)).isZero();
    assertThat(all.tokens(2)).isEqualTo(2);
    assertThat(all.weightMass(2)).isEqualTo(0.625);
    assertThat(all.value()).isEqualTo(6);
  }

  @Test
  void aCopyIsIndependent() {
    RouteTally tally = task(1, 0.5f);
    RouteTally copy = tally.copy();
    tally.reset();
    assertThat(tally.isZero()).isTrue();
    assertThat(copy.rows()).isEqualTo(2);
    assertThat(copy.tokens(1)).isOne();
    assertThat(copy.weightMass(1)).isEqualTo(0.5);
  }

  /** Spark prints accumulators into its events. */
  @Test
  void printsItsRows(SparkSession spark) {
    RouteTally tally = new RouteTally(3);
    spark.sparkContext().register(tally, "routes by expert");
    tally.merge(task(1, 0.5f));
    assertThat(tally.toString()).contains("routes by expert", "value: 2");
  }

  /** One row that cannot be scored and one that can. */
  private static RouteTally task(int expert, float weight) {
    RouteTally tally = new RouteTally(3);
    tally.refused();
    tally.routed();
    tally.chosen(expert, weight);
    return tally;
  }
}
