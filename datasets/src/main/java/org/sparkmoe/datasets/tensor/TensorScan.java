package org.sparkmoe.datasets.tensor;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.connector.read.Batch;
import org.apache.spark.sql.connector.read.InputPartition;
import org.apache.spark.sql.connector.read.PartitionReader;
import org.apache.spark.sql.connector.read.PartitionReaderFactory;
import org.apache.spark.sql.connector.read.Scan;
import org.apache.spark.sql.connector.read.Statistics;
import org.apache.spark.sql.connector.read.SupportsReportStatistics;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.vectorized.ColumnarBatch;
import org.apache.spark.util.SerializableConfiguration;
import org.sparkmoe.datasets.arrow.ReadOptions;

/** One read of all rows of a tensor, cut into ranges of rows. */
final class TensorScan implements Scan, Batch, SupportsReportStatistics {
  private final TensorRows tensor;
  private final StructType required;
  private final ReadOptions options;

  TensorScan(TensorRows tensor, StructType required, ReadOptions options) {
    this.tensor = tensor;
    this.required = required;
    this.options = options;
  }

  /** Rows {@code first} to {@code first + count}. */
  record Range(long first, long count) implements InputPartition {}

  @Override
  public StructType readSchema() {
    return required;
  }

  @Override
  public String description() {
    return "%s %s, %d x %d %s"
        .formatted(
            TensorSource.NAME, tensor.path(), tensor.rows(), tensor.width(), tensor.dtypeName());
  }

  @Override
  public Batch toBatch() {
    return this;
  }

  @Override
  public ColumnarSupportMode columnarSupportMode() {
    return ColumnarSupportMode.SUPPORTED;
  }

  @Override
  public InputPartition[] planInputPartitions() {
    long rows = Math.max(1, options.splitBytes(bytes()) / tensor.rowBytes());
    List<InputPartition> ranges = new ArrayList<>();
    for (long first = 0; first < tensor.rows(); first += rows) {
      ranges.add(new Range(first, Math.min(rows, tensor.rows() - first)));
    }
    return ranges.toArray(InputPartition[]::new);
  }

  @Override
  public PartitionReaderFactory createReaderFactory() {
    List<String> names = List.of(required.fieldNames());
    return new ReaderFactory(tensor, names, new SerializableConfiguration(options.hadoop()));
  }

  @Override
  public Statistics estimateStatistics() {
    return new Statistics() {
      @Override
      public OptionalLong sizeInBytes() {
        return OptionalLong.of(bytes());
      }

      @Override
      public OptionalLong numRows() {
        return OptionalLong.of(tensor.rows());
      }
    };
  }

  private long bytes() {
    return tensor.rows() * tensor.rowBytes();
  }

  private record ReaderFactory(
      TensorRows tensor, List<String> names, SerializableConfiguration hadoop)
      implements PartitionReaderFactory {

    @Override
    public boolean supportColumnarReads(InputPartition partition) {
      return true;
    }

    @Override
    public PartitionReader<ColumnarBatch> createColumnarReader(InputPartition partition) {
      return new TensorReader(tensor, (Range) partition, names, hadoop.value());
    }

    @Override
    public PartitionReader<InternalRow> createReader(InputPartition partition) {
      throw new UnsupportedOperationException(TensorSource.NAME + " reads columns only");
    }
  }
}
