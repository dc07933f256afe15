package org.sparkmoe.udfs.testing;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.testing.RandomTensors;
import org.sparkmoe.udfs.tokens.Vectors;

/**
 * Random tokens. Their magnitudes differ by orders, so that a scale that belongs to another token
 * shows.
 *
 * @param vectors one per token
 */
public record Tokens(List<float[]> vectors) {
  private static final long FIRST_ID = 1000;

  private static final StructType SCHEMA =
      new StructType()
          .add("token_id", DataTypes.LongType)
          .add("hidden", DataTypes.BinaryType)
          .add("kept", new StructType().add("name", DataTypes.StringType));

  /** The kept columns of {@link #keptRows}. */
  public static final StructType KEPT = new StructType().add("name", DataTypes.StringType);

  /** {@code count} tokens of width {@code hidden}. */
  public static Tokens random(int count, int hidden, RandomTensors random) {
    return new Tokens(
        IntStream.range(0, count)
            .mapToObj(t -> random.normals(hidden, Math.pow(10, t % 5 - 2)))
            .toList());
  }

  public int size() {
    return vectors.size();
  }

  public float[] vector(int token) {
    return vectors.get(token);
  }

  /** The id of token {@code token}. */
  public static long id(int token) {
    return FIRST_ID + token;
  }

  /** The number of the token with id {@code id}. */
  public static int number(long id) {
    return Math.toIntExact(id - FIRST_ID);
  }

  /** {@code token_id, hidden}, in order over {@code partitions} partitions. */
  public Dataset<Row> rows(SparkSession spark, int partitions) {
    return keptRows(spark, partitions).drop("kept");
  }

  /** The tokens rounded to {@code dtype}. */
  public Tokens rounded(DType dtype) {
    return new Tokens(
        vectors.stream()
            .map(vector -> Vectors.decode(Vectors.encode(vector, dtype), dtype))
            .toList());
  }

  /** {@code token_id, hidden, kept}: every token carries {@code name} = "t" and its number. */
  public Dataset<Row> keptRows(SparkSession spark, int partitions) {
    return keptRows(spark, partitions, DType.F32);
  }

  /** As above, with vectors of {@code dtype}. */
  public Dataset<Row> keptRows(SparkSession spark, int partitions, DType dtype) {
    List<Row> rows =
        IntStream.range(0, size())
            .mapToObj(
                t ->
                    RowFactory.create(
                        id(t), Vectors.encode(vector(t), dtype), RowFactory.create("t" + t)))
            .toList();
    return Flow.table(spark, rows, SCHEMA, partitions);
  }

  /** All vectors in one array. */
  public float[] joined() {
    int width = vectors.isEmpty() ? 0 : vector(0).length;
    float[] all = new float[size() * width];
    for (int t = 0; t < size(); t++) {
      System.arraycopy(vector(t), 0, all, t * width, width);
    }
    return all;
  }

  @Override
  public String toString() {
    return vectors.stream().map(Arrays::toString).toList().toString();
  }
}
