package org.sparkmoe.job.report;

import static org.apache.spark.sql.functions.avg;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.floor;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.log10;
import static org.apache.spark.sql.functions.max;
import static org.apache.spark.sql.functions.percentile_approx;
import static org.apache.spark.sql.functions.when;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.functions;
import org.apache.spark.storage.StorageLevel;
import org.sparkmoe.job.report.OutputPair.Kind;

/**
 * How far the outputs of two runs are apart, token by token. A distance is the L2 norm of the
 * difference over that of run A's vector.
 *
 * @param tokens by what became of them
 * @param equal tokens with equal values
 * @param infinite tokens whose distance is not finite: a number beside a NaN, or a vector beside
 *     zeros
 * @param largest distance
 * @param p99 distance that 99 % of the tokens do not exceed; its rank is exact to 1/10,000
 * @param median distance, as exact
 * @param mean of the finite distances
 * @param histogram tokens by distance: those of 0, then {@link #BINS} half decades
 * @param worst the farthest tokens, the worst first; no equal ones
 */
record OutputDifferences(
    Map<Kind, Long> tokens,
    long equal,
    long infinite,
    double largest,
    double p99,
    double median,
    double mean,
    long[] histogram,
    List<Distance> worst) {
  /** Half decades of the histogram; the first and the last hold what lies beyond, too. */
  static final int BINS = 22;

  /** Half decades below 1: the first bin begins at 10^(−10). */
  static final int BELOW_ONE = 20;

  private static final int WORST = 10;
  private static final int RANKS = 10_000;

  /**
   * A token's distance.
   *
   * @param tokenId which
   * @param relative L2
   * @param largest difference of two elements
   */
  record Distance(long tokenId, double relative, double largest) {}

  /** Compares {@code outputs/} of run A with that of run B in one join on the cluster. */
  static OutputDifferences of(RunFolder a, RunFolder b) {
    OutputRows first = OutputRows.of(a);
    OutputRows second = OutputRows.of(b);
    Dataset<Row> pairs =
        first
            .rows(OutputPair.FIRST, OutputPair.FIRST_ERROR)
            .join(
                second.rows(OutputPair.SECOND, OutputPair.SECOND_ERROR),
                scala.jdk.javaapi.CollectionConverters.asScala(List.of("token_id")).toSeq(),
                "full_outer")
            .map(new OutputPair(first.dtype(), second.dtype()), Encoders.row(OutputPair.SCHEMA))
            // Three looks at a few numbers of each token; the vectors are read and joined once.
            .persist(StorageLevel.MEMORY_AND_DISK());
    try {
      return summary(pairs);
    } finally {
      pairs.unpersist();
    }
  }

  private static OutputDifferences summary(Dataset<Row> pairs) {
    Map<Kind, Long> tokens = new EnumMap<>(Kind.class);
    pairs
        .groupBy("kind")
        .count()
        .collectAsList()
        .forEach(row -> tokens.put(Kind.valueOf(row.getString(0)), row.getLong(1)));
    Dataset<Row> compared = pairs.where(col("kind").equalTo(Kind.COMPARED.name()));
    Column finite = col("relative").lt(Double.POSITIVE_INFINITY);
    Row found =
        compared
            .agg(
                functions.count(when(col("largest").equalTo(0), 1)),
                functions.count(when(finite, null).otherwise(1)),
                max("relative"),
                percentile_approx(col("relative"), lit(0.99), lit(RANKS)),
                percentile_approx(col("relative"), lit(0.5), lit(RANKS)),
                avg(when(finite, col("relative"))))
            .first();
    List<Distance> worst =
        compared
            .where(col("largest").gt(0))
            .orderBy(col("relative").desc(), col("largest").desc(), col("token_id"))
            .limit(WORST)
            .select("token_id", "relative", "largest")
            .collectAsList()
            .stream()
            .map(row -> new Distance(row.getLong(0), row.getDouble(1), row.getDouble(2)))
            .toList();
    return new OutputDifferences(
        tokens,
        found.getLong(0),
        found.getLong(1),
        number(found, 2),
        number(found, 3),
        number(found, 4),
        number(found, 5),
        histogram(compared, found.getLong(0)),
        worst);
  }

  private static long[] histogram(Dataset<Row> compared, long equal) {
    long[] tokens = new long[BINS + 1];
    tokens[0] = equal;
    compared
        .where(col("largest").gt(0))
        // An infinite distance has no logarithm that an integer could hold.
        .select(
            when(col("relative").geq(10), BINS)
                .otherwise(floor(log10(col("relative")).multiply(2)).plus(BELOW_ONE))
                .cast("int")
                .as("bin"))
        .groupBy("bin")
        .count()
        .collectAsList()
        .forEach(
            row ->
                tokens[1 + Math.clamp(row.isNullAt(0) ? 0 : row.getInt(0), 0, BINS - 1)] +=
                    row.getLong(1));
    return tokens;
  }

  private static double number(Row row, int at) {
    return row.isNullAt(at) ? 0 : row.getDouble(at);
  }

  /**
   * The lower end of the histogram's bin {@code bin}, counted from 0 without that of distance 0.
   */
  static double lowerEnd(int bin) {
    return Math.pow(10, (bin - BELOW_ONE) / 2.0);
  }

  long count(Kind kind) {
    return tokens.getOrDefault(kind, 0L);
  }

  long compared() {
    return count(Kind.COMPARED);
  }

  /** Tokens that failed in one run only, or for another reason. */
  long otherErrors() {
    return count(Kind.FAILED_FIRST) + count(Kind.FAILED_SECOND) + count(Kind.OTHER_REASON);
  }

  /**
   * Why distances are missing.
   *
   * @param firstHidden values of an output of run A, 0 where not known
   * @param secondHidden of run B
   */
  List<String> notes(int firstHidden, int secondHidden) {
    List<String> notes = new ArrayList<>();
    long widths = count(Kind.OTHER_WIDTH);
    if (widths > 0) {
      notes.add(
          "Outputs are of different widths (%s values in A, %s in B): no distance of %d tokens."
              .formatted(width(firstHidden), width(secondHidden), widths));
    }
    if (tokens.keySet().stream().allMatch(kind -> kind.isOneSided())) {
      notes.add("No token is in both runs: outputs cannot be compared.");
    }
    return notes;
  }

  private static String width(int hidden) {
    return hidden == 0 ? "?" : Integer.toString(hidden);
  }
}
