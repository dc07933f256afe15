package org.sparkmoe.job.report;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.sum;

import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;

/**
 * What the {@code routes} of a layer come to.
 *
 * @param tokens that were counted
 * @param sampled whether these are not all
 * @param pairs experts that were chosen together
 * @param weights bins of {@code weightCounts}
 * @param weightCounts routes by slot and bin
 * @param entropies bins of {@code entropyCounts}
 * @param entropyCounts tokens by the entropy of their weights
 */
record RouteCounts(
    long tokens,
    boolean sampled,
    Coactivation pairs,
    Bins weights,
    long[][] weightCounts,
    Bins entropies,
    long[] entropyCounts) {
  /** Tokens beyond which a part is counted: the rest would not change a plot. */
  static final long MOST_TOKENS = 500_000;

  private static final int BINS = 40;

  /**
   * Counts.
   *
   * @param experts E
   * @param topK k
   * @param mostTokens that are counted, about
   */
  static RouteCounts of(RunFolder run, int experts, int topK, long mostTokens) {
    Dataset<Row> routes =
        run.table(
            "routes",
            "cast(token_id AS bigint)",
            "cast(topk_slot AS int)",
            "cast(expert_id AS int)",
            "cast(topk_weight AS float)");
    Row range = routes.selectExpr("min(topk_weight)", "max(topk_weight)").first();
    Bins weights =
        range.anyNull()
            ? Bins.around(0, 1, BINS)
            : Bins.around(range.getFloat(0), range.getFloat(1), BINS);
    Bins entropies = new Bins(0, topK > 1 ? Math.log(topK) / Math.log(2) : 1, BINS);
    boolean sampled = run.tokens() > mostTokens;
    Dataset<Row> counts =
        (sampled ? Sample.of(routes, (double) mostTokens / run.tokens()) : routes)
            .repartition(col("token_id"))
            .sortWithinPartitions("token_id")
            .mapPartitions(
                new RouteCounter(experts, topK, weights, entropies),
                Encoders.row(RouteCounter.SCHEMA))
            .groupBy("kind", "at")
            .agg(sum("n"));
    Coactivation pairs = Coactivation.of(experts);
    long[][] weightCounts = new long[topK][BINS];
    long[] entropyCounts = new long[BINS];
    long tokens = 0;
    for (Row row : counts.collectAsList()) {
      int at = row.getInt(1);
      long n = row.getLong(2);
      switch (row.getInt(0)) {
        case RouteCounter.TOKENS -> tokens = n;
        case RouteCounter.PAIR -> pairs.counts()[at] = n;
        case RouteCounter.WEIGHT -> weightCounts[at / BINS][at % BINS] = n;
        case RouteCounter.ENTROPY -> entropyCounts[at] = n;
        default -> throw new IllegalStateException("no such count: " + row);
      }
    }
    return new RouteCounts(tokens, sampled, pairs, weights, weightCounts, entropies, entropyCounts);
  }
}
