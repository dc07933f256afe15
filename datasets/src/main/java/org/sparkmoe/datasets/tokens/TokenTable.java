package org.sparkmoe.datasets.tokens;

import java.util.List;
import java.util.OptionalInt;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.sparkmoe.datasets.InputException;

/**
 * A table of token activations that has passed all checks that need no look at its rows.
 *
 * @param rows columns {@code token_id BIGINT}, {@code hidden} and the kept ones, in this order;
 *     nulls and widths are not checked yet
 * @param format what was read; AUTO where it is a dataset of the caller
 * @param encoding of {@code hidden}
 * @param keptColumns names of the columns after {@code hidden}
 * @param uniqueIds whether token ids are unique because of where they come from
 * @param width elements of every hidden state, where the files fix it
 * @param path for messages
 */
public record TokenTable(
    Dataset<Row> rows,
    InputFormat format,
    HiddenEncoding encoding,
    List<String> keptColumns,
    boolean uniqueIds,
    OptionalInt width,
    String path) {
  /** Column of token ids. */
  public static final String TOKEN_ID = "token_id";

  /** Column of activations. */
  public static final String HIDDEN = "hidden";

  /** Refuses a table whose files fix another width; where they fix none, rows are checked later. */
  public void requireWidth(int hidden) {
    if (width.isPresent() && width.getAsInt() != hidden) {
      throw new InputException(
          "hidden states in %s have %d elements, the layer takes %d; give activations of this layer"
              .formatted(path, width.getAsInt(), hidden));
    }
  }
}
