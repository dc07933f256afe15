package org.sparkmoe.udfs.tokens;

import java.util.Iterator;
import java.util.NoSuchElementException;
import org.apache.spark.sql.Row;

/**
 * Rows that are made a batch at a time: the batch's arithmetic in one go, its rows one by one as
 * Spark asks for them, so that a batch's result is never held twice.
 */
public abstract class BatchedRows implements Iterator<Row> {
  private int size;
  private int next;
  private boolean over;

  /** Makes the next batch and returns its number of rows, possibly 0; −1 when there is none. */
  protected abstract int fill();

  /** Row {@code index} of the current batch. */
  protected abstract Row row(int index);

  @Override
  public final boolean hasNext() {
    while (next == size && !over) {
      next = 0;
      size = fill();
      if (size < 0) {
        over = true;
        size = 0;
      }
    }
    return next < size;
  }

  @Override
  public final Row next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    return row(next++);
  }
}
