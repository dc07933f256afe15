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
import org.sparkmoe.udfs.combine.CombineFunction;
import org.sparkmoe.udfs.combine.PartialRow;
import org.sparkmoe.udfs.dispatch.DispatchBlock;
import org.sparkmoe.udfs.dispatch.DispatchFunction;
import org.sparkmoe.udfs.executor.KernelTimes;
import org.sparkmoe.udfs.experts.ExpertFunction;
import org.sparkmoe.udfs.plan.LayerPlan;

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
    return tokens.mapPartitions(
        new DispatchFunction(plan), Encoders.row(DispatchBlock.schema(plan.tokens())));
  }

  /** The first shuffle and the experts. */
  public static Dataset<Row> partials(Dataset<Row> blocks, LayerPlan plan) {
    return experts(blocks.repartitionById(plan.placement().lanes(), col(DispatchBlock.LANE)), plan);
  }

  /** The experts, over blocks that are already where they belong. */
  public static Dataset<Row> experts(Dataset<Row> blocks, LayerPlan plan) {
    KernelTimes times = new KernelTimes(plan.spec().experts());
    blocks.sparkSession().sparkContext().register(times, "kernel ns by expert");
    return blocks.mapPartitions(
        new ExpertFunction(plan, times), Encoders.row(PartialRow.schema(plan.tokens())));
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
