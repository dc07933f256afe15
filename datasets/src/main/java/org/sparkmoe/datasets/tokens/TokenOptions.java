package org.sparkmoe.datasets.tokens;

import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.kernels.tensor.DType;

/**
 * What to read and as what.
 *
 * @param path a file, folder or glob on any Hadoop file system; for a tensor {@code
 *     file.safetensors#tensor.name}
 * @param tokenIdColumn its name in the input
 * @param hiddenColumn its name in the input
 * @param hiddenDtype element type of a BINARY hidden column; when absent, what the file says, and
 *     f32 where it says nothing
 * @param keepColumns further columns that go through to the output
 * @param rows which rows are read
 */
public record TokenOptions(
    String path,
    InputFormat format,
    String tokenIdColumn,
    String hiddenColumn,
    Optional<DType> hiddenDtype,
    List<String> keepColumns,
    RowSelection rows) {

  /** Names that the job's tables use for their own columns; Spark does not tell case apart. */
  private static final Set<String> RESERVED =
      Set.of(TokenTable.TOKEN_ID, TokenTable.HIDDEN, "output", "error");

  public TokenOptions {
    keepColumns = List.copyOf(keepColumns);
    if (path.isBlank()) {
      throw new InputException("the input path is empty; give a file, folder, glob or tensor");
    }
    Set<String> seen = new HashSet<>();
    for (String column : keepColumns) {
      String lower = column.toLowerCase(Locale.ROOT);
      if (RESERVED.contains(lower)) {
        throw new InputException(
            "kept column %s clashes with an output column (token_id, hidden, output, error); rename it in the input"
                .formatted(column));
      }
      if (!seen.add(lower)) {
        throw new InputException("kept column " + column + " is given twice; name it once");
      }
    }
  }

  /** Everything in {@code path}, with columns {@code token_id} and {@code hidden}. */
  public static TokenOptions of(String path) {
    return new TokenOptions(
        path,
        InputFormat.AUTO,
        TokenTable.TOKEN_ID,
        TokenTable.HIDDEN,
        Optional.empty(),
        List.of(),
        RowSelection.ALL);
  }

  public TokenOptions withFormat(InputFormat value) {
    return new TokenOptions(
        path, value, tokenIdColumn, hiddenColumn, hiddenDtype, keepColumns, rows);
  }

  public TokenOptions withColumns(String tokenId, String hidden) {
    return new TokenOptions(path, format, tokenId, hidden, hiddenDtype, keepColumns, rows);
  }

  public TokenOptions withHiddenDtype(DType value) {
    return new TokenOptions(
        path, format, tokenIdColumn, hiddenColumn, Optional.of(value), keepColumns, rows);
  }

  public TokenOptions withKeepColumns(String... values) {
    return new TokenOptions(
        path, format, tokenIdColumn, hiddenColumn, hiddenDtype, List.of(values), rows);
  }

  /** As this, of another path. */
  public TokenOptions withPath(String value) {
    return new TokenOptions(
        value, format, tokenIdColumn, hiddenColumn, hiddenDtype, keepColumns, rows);
  }

  public TokenOptions withRows(RowSelection value) {
    return new TokenOptions(
        path, format, tokenIdColumn, hiddenColumn, hiddenDtype, keepColumns, value);
  }

  public TokenOptions withLimit(int value) {
    return withRows(new RowSelection(rows.since(), rows.sample(), OptionalInt.of(value)));
  }
}
