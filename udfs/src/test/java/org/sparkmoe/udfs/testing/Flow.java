package org.sparkmoe.udfs.testing;

import static org.apache.spark.sql.functions.col;

import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.LongAccumulator;
import org.sparkmoe.udfs.combine.CombineFunction;
import org.sparkmoe.udfs.combine.PartialRow;
import org.sparkmoe.udfs.dispatch.DispatchBlock;
import org.sparkmoe.udfs.dispatch.DispatchFunction;
import org.sparkmoe.udfs.executor.KernelTimes;
import org.sparkmoe.udfs.experts.ExpertFunction;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.replicated.ReplicatedFunction;

/** The steps of expert parallelism, as the job chains them. */
public final class Flow {
  private static final int COMBINE_TASKS = 2;

  private Flow() {}

  /** A table of {@code rows}, in order over {@code partitions} partitions, some maybe empty. */
  public static Dataset<Row> table(
      SparkSession spark, List<Row> rows, StructType schema, int partitions) {
    return spark.createDataFrame(
        JavaSparkContext.fromSparkContext(spark.sparkContext()).parallelize(rows, partitions),
        schema);
  }

  /** Dispatch: the blocks, where they were made. */
  public static Dataset<Row> blocks(Dataset<Row> tokens, LayerPlan plan) {
    return blocks(tokens, plan, tokens.sparkSession().sparkContext().longAccumulator());
  }

  /** As above; {@code sent} counts. */
  public static Dataset<Row> blocks(Dataset<Row> tokens, LayerPlan plan, LongAccumulator sent) {
    return tokens.mapPartitions(
        new DispatchFunction(plan, sent), Encoders.row(DispatchBlock.schema(plan.tokens())));
  }

  /** The first shuffle and the experts. */
  public static Dataset<Row> partials(Dataset<Row> blocks, LayerPlan plan) {
    return experts(blocks.repartitionById(plan.placement().lanes(), col(DispatchBlock.LANE)), plan);
  }

  /** The experts, over blocks that are already where they belong. */
  public static Dataset<Row> experts(Dataset<Row> blocks, LayerPlan plan) {
    return blocks.mapPartitions(
        new ExpertFunction(plan, times(blocks, plan)),
        Encoders.row(PartialRow.schema(plan.tokens())));
  }

  /** The second shuffle and combine. */
  public static Dataset<Row> combined(Dataset<Row> partials, LayerPlan plan) {
    return partials
        .repartition(COMBINE_TASKS, col("token_id"))
        .sortWithinPartitions("token_id")
        .mapPartitions(new CombineFunction(plan), Encoders.row(plan.tokens().outputSchema()));
  }

  /** Everything, to outputs by token id. */
  public static SortedMap<Long, byte[]> outputs(Dataset<Row> tokens, LayerPlan plan) {
    return byId(combined(partials(blocks(tokens, plan), plan), plan));
  }

  /** The whole layer without a shuffle, to outputs by token id. */
  public static SortedMap<Long, byte[]> replicated(Dataset<Row> tokens, LayerPlan plan) {
    return byId(
        tokens.mapPartitions(
            new ReplicatedFunction(plan, times(tokens, plan)),
            Encoders.row(plan.tokens().outputSchema())));
  }

  /** Registered times of the plan's experts. */
  public static KernelTimes times(Dataset<Row> rows, LayerPlan plan) {
    KernelTimes times = new KernelTimes(plan.spec().experts());
    rows.sparkSession().sparkContext().register(times, "kernel ns by expert");
    return times;
  }

  /** Outputs by token id. */
  public static SortedMap<Long, byte[]> byId(Dataset<Row> outputs) {
    SortedMap<Long, byte[]> byId = new TreeMap<>();
    for (Row row : outputs.collectAsList()) {
      if (byId.put(row.getLong(0), row.getAs(1)) != null) {
        throw new AssertionError("token " + row.getLong(0) + " came out twice");
      }
    }
    return byId;
  }
}
