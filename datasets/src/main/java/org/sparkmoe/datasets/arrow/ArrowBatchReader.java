package org.sparkmoe.datasets.arrow;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.connector.read.PartitionReader;
import org.apache.spark.sql.vectorized.ColumnarBatch;

/**
 * Reads a split, one record batch in memory at a time: a batch is valid until the next one is asked
 * for. Spark closes the reader when its task ends, however it ends.
 */
final class ArrowBatchReader implements PartitionReader<ColumnarBatch> {
  private final Deque<ArrowSplit.Run> runs;
  private final Deque<BatchBlock> blocks = new ArrayDeque<>();
  private final List<ArrowColumn> columns;
  private final List<String> names;
  private final Configuration conf;
  private final BufferAllocator allocator;
  private ArrowInput input;
  private BatchLoader loader;
  private ColumnarBatch batch;

  ArrowBatchReader(
      ArrowSplit split,
      List<ArrowColumn> columns,
      List<String> names,
      long memoryLimit,
      Configuration conf) {
    this.runs = new ArrayDeque<>(split.runs());
    this.columns = columns;
    this.names = names;
    this.conf = conf;
    this.allocator = ArrowMemory.newTask("moe-arrow", memoryLimit);
  }

  @Override
  public boolean next() throws IOException {
    closeBatch();
    while (blocks.isEmpty()) {
      if (runs.isEmpty()) {
        return false;
      }
      open(runs.removeFirst());
    }
    BatchBlock block = blocks.removeFirst();
    batch = ArrowInput.guard(input.path(), () -> loader.load(block));
    return true;
  }

  @Override
  public ColumnarBatch get() {
    return batch;
  }

  private void open(ArrowSplit.Run run) throws IOException {
    closeInput();
    input = ArrowInput.open(run.path(), run.fileLength(), conf);
    loader = new BatchLoader(input, allocator, columns, names);
    blocks.addAll(run.batches());
  }

  private void closeBatch() {
    if (batch != null) {
      batch.close();
      batch = null;
    }
  }

  private void closeInput() throws IOException {
    if (input != null) {
      input.close();
      input = null;
    }
  }

  @Override
  public void close() throws IOException {
    try (allocator) {
      closeBatch();
      closeInput();
    }
  }
}
