package org.sparkmoe.udfs.executor;

import org.apache.spark.sql.Row;
import org.sparkmoe.udfs.tokens.BatchedRows;

/**
 * Rows that are made in two batches that take turns: while the kernels compute one, the task reads
 * the next and hands out the rows of the one before.
 *
 * @param <B> the memory of a batch
 */
public abstract class OverlappedRows<B> extends BatchedRows {
  private final KernelThread kernels;

  /** The batch that is computed. */
  private B ahead;

  /** The batch whose rows are handed out; read into when all of them have left. */
  private B behind;

  private boolean computing;

  /** Rows computed by {@code kernels}, in two batches of equal kind. */
  protected OverlappedRows(KernelThread kernels, B first, B second) {
    this.kernels = kernels;
    this.ahead = first;
    this.behind = second;
  }

  /** Fills {@code batch} with input; false when there is none left. On the task's thread. */
  protected abstract boolean read(B batch);

  /** Computes {@code batch}. On the kernels' thread. */
  protected abstract void compute(B batch);

  /** Rows that {@code batch} has become, possibly 0. */
  protected abstract int rows(B batch);

  /** Row {@code index} of {@code batch}; asked for in order. On the task's thread. */
  protected abstract Row row(B batch, int index);

  @Override
  protected final int fill() {
    if (!computing) {
      startIf(read(ahead));
      if (!computing) {
        return -1;
      }
    }
    boolean more = read(behind);
    kernels.await();
    B done = ahead;
    ahead = behind;
    behind = done;
    startIf(more);
    return rows(behind);
  }

  private void startIf(boolean hasInput) {
    computing = hasInput;
    if (hasInput) {
      B batch = ahead;
      kernels.start(() -> compute(batch));
    }
  }

  @Override
  protected final Row row(int index) {
    return row(behind, index);
  }
}
