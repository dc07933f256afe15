package org.sparkmoe.datasets.arrow;

import java.util.List;
import java.util.OptionalLong;
import org.apache.spark.sql.connector.read.Batch;
import org.apache.spark.sql.connector.read.InputPartition;
import org.apache.spark.sql.connector.read.PartitionReaderFactory;
import org.apache.spark.sql.connector.read.Scan;
import org.apache.spark.sql.connector.read.Statistics;
import org.apache.spark.sql.connector.read.SupportsReportStatistics;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.SerializableConfiguration;

/** One read of some columns of all files. */
final class ArrowScan implements Scan, Batch, SupportsReportStatistics {
  private final ArrowDataset dataset;
  private final List<ArrowColumn> selected;
  private final ReadOptions options;

  ArrowScan(ArrowDataset dataset, List<ArrowColumn> selected, ReadOptions options) {
    this.dataset = dataset;
    this.selected = selected;
    this.options = options;
  }

  @Override
  public StructType readSchema() {
    return new ArrowDataset(dataset.path(), dataset.files(), selected).schema();
  }

  @Override
  public String description() {
    return "%s %s, %d files".formatted(ArrowSource.NAME, dataset.path(), dataset.files().size());
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
    long target = options.splitBytes(dataset.bytes());
    return ArrowSplit.plan(dataset.files(), target, options.openCost())
        .toArray(InputPartition[]::new);
  }

  @Override
  public PartitionReaderFactory createReaderFactory() {
    return new ArrowReaderFactory(
        dataset.files().getFirst().schema().serializeAsMessage(),
        selected.stream().map(ArrowColumn::name).toList(),
        options.bytes(ArrowMemory.LIMIT_OPTION, "0"),
        new SerializableConfiguration(options.hadoop()));
  }

  @Override
  public Statistics estimateStatistics() {
    return new Statistics() {
      @Override
      public OptionalLong sizeInBytes() {
        return OptionalLong.of(dataset.bytes());
      }

      @Override
      public OptionalLong numRows() {
        return OptionalLong.empty();
      }
    };
  }
}
