package org.sparkmoe.datasets.tensor;

import java.io.IOException;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.connector.read.PartitionReader;
import org.apache.spark.sql.vectorized.ColumnVector;
import org.apache.spark.sql.vectorized.ColumnarBatch;
import org.sparkmoe.datasets.InputException;

/** Reads a range of rows, a few megabytes at a time, into one buffer that every batch reuses. */
final class TensorReader implements PartitionReader<ColumnarBatch> {
  private static final int BATCH_BYTES = 4 << 20;

  private final TensorRows tensor;
  private final List<String> names;
  private final Configuration conf;
  private final int batchRows;
  private final byte[] buffer;
  private FSDataInputStream in;
  private long nextRow;
  private long rowsLeft;
  private ColumnarBatch batch;

  TensorReader(TensorRows tensor, TensorScan.Range range, List<String> names, Configuration conf) {
    this.tensor = tensor;
    this.names = names;
    this.conf = conf;
    long rows = Math.min(range.count(), Math.max(1, BATCH_BYTES / tensor.rowBytes()));
    this.batchRows = (int) rows;
    boolean bytesNeeded = names.contains(TensorSource.HIDDEN);
    this.buffer = new byte[bytesNeeded ? Math.multiplyExact(batchRows, tensor.rowBytes()) : 0];
    this.nextRow = range.first();
    this.rowsLeft = range.count();
  }

  @Override
  public boolean next() {
    if (rowsLeft == 0) {
      return false;
    }
    int rows = (int) Math.min(batchRows, rowsLeft);
    if (buffer.length > 0) {
      fill(rows);
    }
    ColumnVector[] columns = new ColumnVector[names.size()];
    for (int i = 0; i < columns.length; i++) {
      columns[i] =
          names.get(i).equals(TensorSource.HIDDEN)
              ? new RowBytesColumn(buffer, tensor.rowBytes())
              : new RowNumberColumn(nextRow);
    }
    batch = new ColumnarBatch(columns, rows);
    nextRow += rows;
    rowsLeft -= rows;
    return true;
  }

  private void fill(int rows) {
    try {
      if (in == null) {
        Path file = new Path(tensor.path());
        in = file.getFileSystem(conf).open(file);
        in.seek(tensor.begin() + nextRow * tensor.rowBytes());
      }
      in.readFully(buffer, 0, rows * tensor.rowBytes());
    } catch (IOException e) {
      throw new InputException(
          "cannot read rows from %d of %s: %s".formatted(nextRow, tensor.path(), e.getMessage()),
          e);
    }
  }

  @Override
  public ColumnarBatch get() {
    return batch;
  }

  @Override
  public void close() throws IOException {
    if (in != null) {
      in.close();
    }
  }
}
