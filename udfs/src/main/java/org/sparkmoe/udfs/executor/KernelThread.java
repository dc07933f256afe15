package org.sparkmoe.udfs.executor;

import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * The second thread of a task: it computes a batch while the task's own thread, to which Spark's
 * iterators belong, reads the next one and hands out the rows of the one before. One batch at a
 * time.
 */
public final class KernelThread implements AutoCloseable {
  private final ExecutorService thread;
  private Future<?> batch;

  /** A thread named after {@code taskAttempt}; it ends with {@link #close}. */
  KernelThread(long taskAttempt) {
    this.thread =
        Executors.newSingleThreadExecutor(
            Thread.ofPlatform().daemon().name("moe-kernels-" + taskAttempt).factory());
  }

  /** Begins to compute; {@link #await} comes before the next batch. */
  public void start(Runnable work) {
    batch = thread.submit(work);
  }

  /**
   * Waits for the batch; what it wrote is then visible here. Throws what it threw.
   *
   * @throws IllegalStateException where the task is interrupted while it waits
   */
  public void await() {
    try {
      batch.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("the task was cancelled while its batch was computed", e);
    } catch (ExecutionException e) {
      if (e.getCause() instanceof Error error) {
        throw error;
      }
      // a Runnable throws nothing checked
      throw (RuntimeException) e.getCause();
    }
  }

  /** Waits until no batch is computed any more: its memory can be freed then. */
  @Override
  public void close() {
    thread.close();
  }
}
