package org.sparkmoe.datasets.tokens;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.max;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.arrow.ArrowSource;
import org.sparkmoe.datasets.tensor.TensorSource;

/**
 * Opens tables of token activations. Everything about them that can be refused without a look at
 * every row is refused here, on the driver.
 */
public final class TokenSource {
  private final SparkSession spark;
  private final TokenOptions options;

  private TokenSource(SparkSession spark, TokenOptions options) {
    this.spark = spark;
    this.options = options;
  }

  /**
   * Opens the input. Reads schemas, footers and the first row.
   *
   * @throws InputException if the input is missing, empty, damaged or lacks a column of the right
   *     type
   */
  public static TokenTable open(SparkSession spark, TokenOptions options) {
    return new TokenSource(spark, options).open();
  }

  private TokenTable open() {
    Configuration conf = spark.sparkContext().hadoopConfiguration();
    FormatDetector detector = new FormatDetector(options.path(), conf);
    InputFormat format =
        options.format() == InputFormat.AUTO ? detector.detect() : options.format();
    if (format == InputFormat.PARQUET) {
      // Spark's own message about a missing path has several lines.
      detector.firstFile();
    }
    Dataset<Row> input = read(format);
    TokenColumns columns = new TokenColumns(input.schema(), format, options);
    StructField tokenId = columns.tokenId();
    StructField hidden = columns.hidden();
    HiddenEncoding encoding = columns.encoding(hidden);
    OptionalInt width = columns.width(hidden, encoding);
    List<String> kept = columns.kept();
    requireRows(input.select(named(tokenId.name())));
    List<Column> selected = new ArrayList<>();
    selected.add(named(tokenId.name()).cast(DataTypes.LongType).as(TokenTable.TOKEN_ID));
    selected.add(named(hidden.name()).cast(encoding.sparkType()).as(TokenTable.HIDDEN));
    kept.forEach(name -> selected.add(named(name)));
    Dataset<Row> rows = input.select(selected.toArray(Column[]::new));
    return new TokenTable(
        limited(rows),
        format,
        encoding,
        kept,
        format == InputFormat.SAFETENSORS,
        width,
        options.path());
  }

  private Dataset<Row> read(InputFormat format) {
    String name =
        switch (format) {
          case PARQUET -> "parquet";
          case ARROW -> ArrowSource.NAME;
          case SAFETENSORS -> TensorSource.NAME;
          case AUTO -> throw new IllegalArgumentException("format not found out");
        };
    try {
      return spark.read().format(name).load(options.path());
    } catch (Exception e) {
      // Spark throws checked exceptions that its Scala signatures do not declare.
      throw InputFailures.asInput("cannot read %s as %s".formatted(options.path(), format), e);
    }
  }

  private void requireRows(Dataset<Row> ids) {
    boolean empty;
    try {
      empty = ids.isEmpty();
    } catch (Exception e) {
      throw InputFailures.asInput("cannot read the rows of " + options.path(), e);
    }
    if (empty) {
      throw new InputException("input " + options.path() + " has no rows; give one that has some");
    }
  }

  /**
   * Keeps the lowest token ids, so that the choice does not depend on partitions. The highest id to
   * keep is found here, once: every pass over the table then sees the same rows.
   */
  private Dataset<Row> limited(Dataset<Row> rows) {
    if (options.limit().isEmpty()) {
      return rows;
    }
    Column id = col(TokenTable.TOKEN_ID);
    Row highest =
        rows.select(id)
            .orderBy(id.asc_nulls_last())
            .limit(options.limit().getAsInt())
            .agg(max(id))
            .first();
    return rows.where(id.leq(lit(highest.get(0))));
  }

  /** The top-level column of exactly this name, which may hold dots. */
  private static Column named(String name) {
    return col("`" + name.replace("`", "``") + "`");
  }
}
