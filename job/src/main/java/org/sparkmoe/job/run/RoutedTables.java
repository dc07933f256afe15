package org.sparkmoe.job.run;

import static org.apache.spark.sql.functions.arrays_zip;
import static org.apache.spark.sql.functions.broadcast;
import static org.apache.spark.sql.functions.call_function;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.count_if;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.posexplode;
import static org.apache.spark.sql.functions.round;
import static org.apache.spark.sql.functions.sum;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.storage.StorageLevel;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.job.plan.Amounts;
import org.sparkmoe.udfs.gating.RouteFunction;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.sql.MoeFunctionCatalog;

/**
 * The gated tokens, held between passes, and what is read off them: the {@code routes} and {@code
 * errors} tables, counts, the load of every expert.
 */
final class RoutedTables implements AutoCloseable {
  /** Duplicated ids are broadcast; more of them means that the column is no id. */
  private static final int MOST_DUPLICATES = 1_000_000;

  /**
   * Weights are summed as integers of this fraction: exact, so the order of summing does not show.
   */
  private static final double WEIGHT_UNIT = 0x1p-32;

  private static final StructType ERROR_ROWS =
      new StructType()
          .add("token_id", DataTypes.LongType)
          .add("stage", DataTypes.StringType, false)
          .add("reason", DataTypes.StringType);

  private final Dataset<Row> routed;
  private final Dataset<Row> good;
  private final long[] duplicates;
  private final long rows;
  private final long errors;

  /** Tokens and weight of one expert. */
  record ExpertLoad(long tokens, double weightMass) {}

  /**
   * Ids that occur more than once.
   *
   * @param ids ascending
   * @param scored their rows that have nothing else wrong
   */
  private record Duplicates(long[] ids, long scored) {
    private static final Duplicates NONE = new Duplicates(new long[0], 0);
  }

  private RoutedTables(Dataset<Row> routed, Duplicates duplicates, long rows, long refused) {
    this.routed = routed;
    this.duplicates = duplicates.ids();
    this.rows = rows;
    this.good = withoutDuplicates(routed.filter(col("error").isNull()));
    this.errors = refused + duplicates.scored();
  }

  /** Gates all tokens; the plan's tokens must not know duplicates yet. */
  static RoutedTables gate(Dataset<Row> tokens, LayerPlan plan, boolean uniqueIds) {
    Dataset<Row> routed =
        tokens
            .mapPartitions(new RouteFunction(plan), Encoders.row(RouteFunction.SCHEMA))
            .persist(StorageLevel.MEMORY_AND_DISK());
    try {
      Row counted = routed.agg(count(lit(1)), count(col("error"))).first();
      Duplicates duplicates = uniqueIds ? Duplicates.NONE : duplicates(routed);
      return new RoutedTables(routed, duplicates, counted.getLong(0), counted.getLong(1));
    } catch (Exception e) {
      // Not only runtime exceptions: Spark throws checked ones that its signatures do not declare.
      routed.unpersist();
      throw e;
    }
  }

  long rows() {
    return rows;
  }

  long errors() {
    return errors;
  }

  /** Ascending ids that occur more than once. */
  long[] duplicates() {
    return duplicates;
  }

  /** {@code token_id, topk_slot, expert_id, topk_weight}. */
  Dataset<Row> routes() {
    return good.select(
            col("token_id"),
            posexplode(
                arrays_zip(
                    call_function(MoeFunctionCatalog.NAME + ".decode_ids", col("topk_ids")),
                    call_function(
                        MoeFunctionCatalog.NAME + ".decode", col("topk_weights"), lit("f32")))))
        .select(
            col("token_id"),
            col("pos").as("topk_slot"),
            col("col").getField("0").as("expert_id"),
            col("col").getField("1").as("topk_weight"));
  }

  /** {@code token_id, stage, reason}. */
  Dataset<Row> errorRows() {
    if (errors == 0) {
      // one empty file, and no pass over the routes to find out
      return routed.sparkSession().createDataFrame(List.of(), ERROR_ROWS);
    }
    Dataset<Row> refused =
        routed
            .filter(col("error").isNotNull())
            .select(col("token_id"), lit("read").as("stage"), col("error").as("reason"));
    if (duplicates.length == 0) {
      return refused;
    }
    Dataset<Row> repeated =
        routed
            .filter(col("error").isNull())
            .join(broadcast(duplicateTable()), "token_id")
            .select(
                col("token_id"),
                lit("read").as("stage"),
                lit("token_id is not unique").as("reason"));
    return refused.unionByName(repeated);
  }

  /** The reason that most rows failed for, with their number; empty without errors. */
  Optional<String> commonestReason() {
    if (errors == 0) {
      return Optional.empty();
    }
    Row most =
        errorRows()
            .groupBy("reason")
            .agg(count(lit(1)).as("n"))
            .orderBy(col("n").desc(), col("reason"))
            .first();
    return Optional.of("%s (%s rows)".formatted(most.getString(0), Amounts.count(most.getLong(1))));
  }

  /** The load of every expert, by id. */
  ExpertLoad[] loads(int experts) {
    ExpertLoad[] loads = new ExpertLoad[experts];
    Arrays.fill(loads, new ExpertLoad(0, 0));
    List<Row> counted =
        routes()
            .groupBy("expert_id")
            .agg(
                count(lit(1)),
                sum(
                    round(col("topk_weight").cast(DataTypes.DoubleType).divide(lit(WEIGHT_UNIT)))
                        .cast(DataTypes.LongType)))
            .collectAsList();
    for (Row row : counted) {
      loads[row.getInt(0)] = new ExpertLoad(row.getLong(1), row.getLong(2) * WEIGHT_UNIT);
    }
    return loads;
  }

  @Override
  public void close() {
    routed.unpersist();
  }

  private Dataset<Row> withoutDuplicates(Dataset<Row> scored) {
    return duplicates.length == 0
        ? scored
        : scored.join(broadcast(duplicateTable()), new String[] {"token_id"}, "left_anti");
  }

  private Dataset<Row> duplicateTable() {
    SparkSession spark = routed.sparkSession();
    return spark
        .createDataset(Arrays.stream(duplicates).boxed().toList(), Encoders.LONG())
        .toDF("token_id");
  }

  private static Duplicates duplicates(Dataset<Row> routed) {
    List<Row> found =
        routed
            .filter(col("token_id").isNotNull())
            .groupBy("token_id")
            .agg(count(lit(1)).as("n"), count_if(col("error").isNull()).as("scored"))
            .filter(col("n").gt(1))
            .select("token_id", "scored")
            .limit(MOST_DUPLICATES + 1)
            .collectAsList();
    if (found.size() > MOST_DUPLICATES) {
      throw new InputException(
          "more than %s token ids occur several times; ids must be unique: name another column with --token-id-column"
              .formatted(Amounts.count(MOST_DUPLICATES)));
    }
    return new Duplicates(
        found.stream().mapToLong(row -> row.getLong(0)).sorted().toArray(),
        found.stream().mapToLong(row -> row.getLong(1)).sum());
  }
}
