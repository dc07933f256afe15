package org.sparkmoe.udfs.dispatch;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.sparkmoe.udfs.executor.TaskScope;
import org.sparkmoe.udfs.tokens.BatchedRows;
import org.sparkmoe.udfs.tokens.TokenFormat;
import org.sparkmoe.udfs.tokens.TokenReader;

/**
 * The rows that dispatch leaves out, as rows of the result: null output, the reason, the carried
 * columns.
 */
public final class ErrorRowsFunction implements MapPartitionsFunction<Row, Row> {
  private static final long serialVersionUID = 1;

  private static final int BATCH = 256;

  private final TokenFormat format;

  public ErrorRowsFunction(TokenFormat format) {
    this.format = format;
  }

  @Override
  public Iterator<Row> call(Iterator<Row> rows) {
    return new ErrorRows(rows, format, TaskScope.current().arena());
  }

  private static final class ErrorRows extends BatchedRows {
    private final TokenReader reader;
    private final TokenFormat format;
    private final List<Integer> bad = new ArrayList<>();

    private ErrorRows(Iterator<Row> rows, TokenFormat format, Arena arena) {
      this.reader = new TokenReader(rows, format, BATCH, arena);
      this.format = format;
    }

    @Override
    protected int fill() {
      if (!reader.read()) {
        return -1;
      }
      bad.clear();
      for (int row = 0; row < reader.size(); row++) {
        if (reader.error(row) != null) {
          bad.add(row);
        }
      }
      return bad.size();
    }

    @Override
    protected Row row(int index) {
      int row = bad.get(index);
      return format.keeps()
          ? RowFactory.create(reader.tokenId(row), null, reader.error(row), reader.kept(row))
          : RowFactory.create(reader.tokenId(row), null, reader.error(row));
    }
  }
}
