package org.sparkmoe.job.run;

import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.sparkmoe.job.plan.DispatchMode;
import org.sparkmoe.job.plan.JobPlan;
import org.sparkmoe.udfs.gating.RouteTally;
import org.sparkmoe.udfs.plan.LayerPlan;

/** The small table of experts. */
final class ResultTables {
  /**
   * {@code share} is of all routes; {@code weight_mass} is the sum of the expert's weights; {@code
   * lane} is the first of the {@code copies} lanes that hold it, both null where replicated.
   */
  static final StructType EXPERT_STATS =
      new StructType()
          .add("expert_id", DataTypes.IntegerType, false)
          .add("lane", DataTypes.IntegerType)
          .add("copies", DataTypes.IntegerType)
          .add("tokens", DataTypes.LongType, false)
          .add("share", DataTypes.DoubleType, false)
          .add("weight_mass", DataTypes.DoubleType, false)
          .add("kernel_ms", DataTypes.DoubleType, false);

  private ResultTables() {}

  static void writeExpertStats(
      SparkSession spark,
      String path,
      LayerPlan layer,
      JobPlan plan,
      RouteTally tally,
      long[] kernelNanos) {
    long total = tally.routes();
    List<Row> rows = new ArrayList<>();
    for (int expert = 0; expert < tally.experts(); expert++) {
      boolean lanes = plan.dispatch().chosen().mode() == DispatchMode.EP;
      int[] all = layer.placement().lanesOf(expert);
      Integer lane = lanes ? all[0] : null;
      Integer copies = lanes ? all.length : null;
      rows.add(
          RowFactory.create(
              expert,
              lane,
              copies,
              tally.tokens(expert),
              total == 0 ? 0.0 : (double) tally.tokens(expert) / total,
              tally.weightMass(expert),
              kernelNanos[expert] / 1e6));
    }
    spark.createDataFrame(rows, EXPERT_STATS).coalesce(1).write().parquet(path);
  }
}
