package org.sparkmoe.datasets.tokens;

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
import org.sparkmoe.datasets.delta.DeltaTables;
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
    if (format == InputFormat.DELTA) {
      DeltaTables.require(spark, "input " + options.path());
    }
    if (format == InputFormat.PARQUET) {
      // Spark's own message about a missing path has several lines.
      detector.firstFile();
    }
    Dataset<Row> input = read(format);
    TokenColumns columns = new TokenColumns(input.schema(), format, options);
    columns.requireNamed();
    StructField tokenId = columns.tokenId();
    StructField hidden = columns.hidden();
    HiddenEncoding encoding = columns.encoding(hidden);
    OptionalInt width = columns.width(hidden, encoding);
    List<String> kept = columns.kept();
    requireRows(input.select(RowSelector.named(tokenId.name())));
    List<Column> selected = new ArrayList<>();
    selected.add(
        RowSelector.named(tokenId.name()).cast(DataTypes.LongType).as(TokenTable.TOKEN_ID));
    selected.add(RowSelector.named(hidden.name()).cast(encoding.sparkType()).as(TokenTable.HIDDEN));
    kept.forEach(name -> selected.add(RowSelector.named(name)));
    return new TokenTable(
        selected(input, columns, selected),
        format,
        encoding,
        kept,
        format == InputFormat.SAFETENSORS,
        width,
        options.path());
  }

  private Dataset<Row> selected(Dataset<Row> input, TokenColumns columns, List<Column> selected) {
    RowSelection wanted = options.rows();
    Dataset<Row> rows = input;
    if (wanted.since().isPresent()) {
      RowSelection.Since since = wanted.since().get();
      rows = RowSelector.since(rows, columns.ordered(since.column()), since, options.path());
    }
    rows = rows.select(selected.toArray(Column[]::new));
    if (wanted.sample().isPresent()) {
      rows = RowSelector.sample(rows, wanted.sample().getAsDouble());
    }
    return RowSelector.limit(rows, wanted.limit());
  }

  private Dataset<Row> read(InputFormat format) {
    try {
      return switch (format) {
        case PARQUET -> spark.read().parquet(options.path());
        case ARROW -> spark.read().format(ArrowSource.NAME).load(options.path());
        case SAFETENSORS -> spark.read().format(TensorSource.NAME).load(options.path());
        case DELTA -> DeltaTables.read(spark, options.path());
        case AUTO -> throw new IllegalArgumentException("format not found out");
      };
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
}
