package org.sparkmoe.job.bench;

import static org.apache.spark.sql.functions.broadcast;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.expr;

import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.sparkmoe.udfs.tokens.Vectors;

/**
 * Tables of any number of rows whose vectors come from a pool, so that neither the disk nor the
 * memory is measured.
 *
 * @param pool {@code at INT, hidden BINARY}: {@link #POOL} f32 vectors
 */
record SqlTables(SparkSession spark, Dataset<Row> pool) {
  /** Vectors of a pool. */
  static final int POOL = 1024;

  /** The vectors of {@code files}' tokens. */
  static SqlTables of(SparkSession spark, JobFiles files) {
    Dataset<Row> tokens = spark.read().format("moe-safetensors").load(files.input());
    return new SqlTables(spark, tokens.select(col("token_id").cast("int").as("at"), col("hidden")));
  }

  /** {@code token_id BIGINT} and {@code columns} over {@code hidden} of the pool. */
  Dataset<Row> tokens(int rows, String... columns) {
    Dataset<Row> ids =
        spark
            .range(rows)
            .select(col("id").as("token_id"), expr("int(id %% %d) AS at".formatted(POOL)));
    return ids.join(broadcast(pool.selectExpr(with("at", columns))), "at")
        .select("token_id", names(columns));
  }

  /**
   * {@code token_id, expert_id, hidden}, and the expert as the job's binary list, {@code experts};
   * {@code rows / k} tokens.
   */
  Dataset<Row> slots(int rows, int topK) {
    List<Row> lists =
        IntStream.range(0, topK)
            .mapToObj(expert -> RowFactory.create(expert, Vectors.encode(new int[] {expert}, 0, 1)))
            .toList();
    Dataset<Row> byExpert =
        spark.createDataFrame(lists, StructType.fromDDL("expert_id INT, experts BINARY"));
    Dataset<Row> ids =
        spark
            .range((long) rows / topK * topK)
            .selectExpr(
                "id DIV %d AS token_id".formatted(topK),
                "int(id %% %d) AS expert_id".formatted(topK),
                "int(id * 7919 %% %d) AS at".formatted(POOL));
    return ids.join(broadcast(byExpert), "expert_id").join(broadcast(pool), "at");
  }

  private static String[] with(String first, String... others) {
    String[] all = new String[others.length + 1];
    all[0] = first;
    System.arraycopy(others, 0, all, 1, others.length);
    return all;
  }

  /** What stands behind AS, or all of it. */
  private static String[] names(String... columns) {
    String[] names = columns.clone();
    for (int i = 0; i < names.length; i++) {
      names[i] = names[i].replaceFirst(".* AS ", "");
    }
    return names;
  }
}
