package org.sparkmoe.job.report;

import static org.apache.spark.sql.functions.array_intersect;
import static org.apache.spark.sql.functions.array_sort;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.collect_list;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.greatest;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.size;
import static org.apache.spark.sql.functions.struct;

import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/**
 * How the experts of the tokens differ that both runs scored.
 *
 * @param sampled whether these are not all tokens
 * @param byMoved tokens by how many of their slots hold an expert that the other run did not
 *     choose, 0 to k
 * @param reordered tokens that have the same experts in another order of slots
 */
record RouteChanges(boolean sampled, long[] byMoved, long reordered) {
  private static final String A = "a";
  private static final String B = "b";

  /** Compares, of more than {@code mostTokens} tokens a sample of about as many. */
  static RouteChanges of(ComparedLayer first, ComparedLayer second, long mostTokens) {
    long tokens = Math.max(first.tokens(), second.tokens());
    boolean sampled = tokens > mostTokens;
    double fraction = sampled ? (double) mostTokens / tokens : 1;
    Column kept = size(array_intersect(col(A), col(B)));
    Column moved = greatest(size(col(A)), size(col(B))).minus(kept);
    Dataset<Row> changes =
        chosen(first.run(), A, fraction)
            .join(chosen(second.run(), B, fraction), "token_id")
            .select(
                moved.as("moved"), moved.equalTo(0).and(col(A).notEqual(col(B))).as("reordered"))
            .groupBy("moved", "reordered")
            .agg(count(lit(1)));
    long[] byMoved = new long[Math.max(first.topK(), second.topK()) + 1];
    long reordered = 0;
    for (Row row : changes.collectAsList()) {
      byMoved[row.getInt(0)] += row.getLong(2);
      reordered += row.getBoolean(1) ? row.getLong(2) : 0;
    }
    return new RouteChanges(sampled, byMoved, reordered);
  }

  /** The experts of each token, in the order of slots. */
  private static Dataset<Row> chosen(RunFolder run, String name, double fraction) {
    Dataset<Row> routes =
        run.table(
            "routes",
            "cast(token_id AS bigint) AS token_id",
            "cast(topk_slot AS int) AS topk_slot",
            "cast(expert_id AS int) AS expert_id");
    Column bySlot = array_sort(collect_list(struct("topk_slot", "expert_id")));
    return (fraction < 1 ? Sample.of(routes, fraction) : routes)
        .groupBy("token_id")
        .agg(bySlot.getField("expert_id").as(name));
  }

  /** Tokens of both runs that were looked at. */
  long tokens() {
    long sum = 0;
    for (long tokens : byMoved) {
      sum += tokens;
    }
    return sum;
  }

  /** Tokens whose sets of experts differ. */
  long changed() {
    return tokens() - byMoved[0];
  }

  /** Slots that hold an expert which the other run did not choose for the token. */
  long moved() {
    long sum = 0;
    for (int moved = 1; moved < byMoved.length; moved++) {
      sum += moved * byMoved[moved];
    }
    return sum;
  }

  /** Slots of the tokens that were looked at. */
  long slots() {
    return tokens() * (byMoved.length - 1);
  }
}
