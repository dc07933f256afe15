package org.sparkmoe.datasets.tokens;

import static org.apache.spark.sql.functions.col;

import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.sparkmoe.datasets.InputException;

/** Token activations that a caller already has as a dataset. */
public final class DatasetTokens {
  private DatasetTokens() {}

  /**
   * The table of {@code input}; looks at its schema only, so that nothing is computed.
   *
   * @param options names of columns and their element type; path is what messages call the dataset,
   *     format and selection of rows are not looked at
   * @throws InputException where a column is missing or of a type that is not taken
   */
  public static TokenTable of(Dataset<Row> input, TokenOptions options) {
    TokenColumns columns = new TokenColumns(input.schema(), InputFormat.AUTO, options);
    columns.requireNamed();
    StructField tokenId = columns.tokenId();
    StructField hidden = columns.hidden();
    HiddenEncoding encoding = columns.encoding(hidden);
    List<String> kept = columns.kept();
    List<Column> selected = new ArrayList<>();
    selected.add(named(tokenId.name()).cast(DataTypes.LongType).as(TokenTable.TOKEN_ID));
    selected.add(named(hidden.name()).cast(encoding.sparkType()).as(TokenTable.HIDDEN));
    kept.forEach(name -> selected.add(named(name)));
    return new TokenTable(
        input.select(selected.toArray(Column[]::new)),
        InputFormat.AUTO,
        encoding,
        kept,
        false,
        columns.width(hidden, encoding),
        options.path());
  }

  /** The top-level column of exactly this name, which may hold dots. */
  private static Column named(String name) {
    return col("`" + name.replace("`", "``") + "`");
  }
}
