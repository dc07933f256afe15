package org.sparkmoe.datasets.tokens;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.max;
import static org.apache.spark.sql.functions.shiftrightunsigned;
import static org.apache.spark.sql.functions.xxhash64;

import java.util.OptionalInt;
import java.util.Set;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.NumericType;
import org.apache.spark.sql.types.StructField;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.safetensors.Quoted;

/** Applies a {@link RowSelection} to a table. */
final class RowSelector {
  /** Bits of a token id's hash that are compared with the fraction: as many as a double holds. */
  private static final int SAMPLE_BITS = 53;

  private static final Set<DataType> ORDERED =
      Set.of(
          DataTypes.DateType,
          DataTypes.TimestampType,
          DataTypes.TimestampNTZType,
          DataTypes.StringType);

  private RowSelector() {}

  /**
   * Rows whose column is the value or later. The comparison is Spark's own, so that partitions and
   * row groups are left out by their statistics.
   *
   * @param field the column
   * @throws InputException where its type has no order, or the value is none of it
   */
  static Dataset<Row> since(
      Dataset<Row> rows, StructField field, RowSelection.Since since, String path) {
    boolean ordered = field.dataType() instanceof NumericType || ORDERED.contains(field.dataType());
    if (!ordered) {
      throw new InputException(
          "--since: column %s of %s is %s, which has no order; take a number, a date or text"
              .formatted(Quoted.of(field.name()), path, field.dataType().sql()));
    }
    Object value =
        rows.sparkSession()
            .range(1)
            .select(lit(since.value()).try_cast(field.dataType()))
            .first()
            .get(0);
    if (value == null) {
      throw new InputException(
          "--since: %s is no %s, the type of column %s of %s"
              .formatted(
                  Quoted.of(since.value()), field.dataType().sql(), Quoted.of(field.name()), path));
    }
    return rows.where(named(field.name()).geq(lit(value).cast(field.dataType())));
  }

  /** A fraction of the token ids, and all rows without one, which are errors. */
  static Dataset<Row> sample(Dataset<Row> rows, double fraction) {
    // the hash of null is a small constant, which every fraction keeps
    Column hash = shiftrightunsigned(xxhash64(col(TokenTable.TOKEN_ID)), Long.SIZE - SAMPLE_BITS);
    return rows.where(hash.lt(lit((long) Math.ceil(fraction * (1L << SAMPLE_BITS)))));
  }

  /**
   * The rows with the lowest token ids. The highest id to keep is found here, once: every pass over
   * the table then sees the same rows.
   */
  static Dataset<Row> limit(Dataset<Row> rows, OptionalInt limit) {
    if (limit.isEmpty()) {
      return rows;
    }
    Column id = col(TokenTable.TOKEN_ID);
    Row highest =
        rows.select(id).orderBy(id.asc_nulls_last()).limit(limit.getAsInt()).agg(max(id)).first();
    return rows.where(id.leq(lit(highest.get(0))));
  }

  /** The top-level column of exactly this name, which may hold dots. */
  static Column named(String name) {
    return col("`" + name.replace("`", "``") + "`");
  }
}
