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
  private final B first;
  private final B second;
  private B computing;
  private B done;

  /** Rows computed by {@code kernels}, in two batches of equal kind. */
  protected OverlappedRows(KernelThread kernels, B first, B second) {
    this.kernels = kernels;
    this.first = first;
    this.second = second;
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
    if (computing == null) {
      startIf(read(first), first);
      if (computing == null) {
        return -1;
      }
    }
    B next = computing == first ? second : first;
    boolean more = read(next);
    kernels.await();
    done = computing;
    startIf(more, next);
    return rows(done);
  }

  private void startIf(boolean hasInput, B batch) {
    computing = hasInput ? batch : null;
    if (hasInput) {
      kernels.start(() -> compute(batch));
    }
  }

  @Override
  protected final Row row(int index) {
    return row(done, index);
  }
}
