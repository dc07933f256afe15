package org.sparkmoe.datasets.arrow;

import java.util.List;
import java.util.Set;
import org.apache.spark.sql.connector.read.Scan;
import org.apache.spark.sql.connector.read.ScanBuilder;
import org.apache.spark.sql.connector.read.SupportsPushDownRequiredColumns;
import org.apache.spark.sql.types.StructType;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.safetensors.Quoted;

/** Learns which columns a query needs, and refuses those that cannot be read. */
final class ArrowScanBuilder implements ScanBuilder, SupportsPushDownRequiredColumns {
  private final ArrowDataset dataset;
  private final ReadOptions options;
  private Set<String> required;

  ArrowScanBuilder(ArrowDataset dataset, ReadOptions options) {
    this.dataset = dataset;
    this.options = options;
  }

  @Override
  public void pruneColumns(StructType needed) {
    required = Set.of(needed.fieldNames());
  }

  @Override
  public Scan build() {
    List<ArrowColumn> selected =
        dataset.columns().stream()
            .filter(column -> required == null || required.contains(column.name()))
            .toList();
    for (ArrowColumn column : selected) {
      if (!column.readable()) {
        throw new InputException(
            "column %s of %s has the Arrow type %s, which is not supported; leave it out or cast it"
                .formatted(
                    Quoted.of(column.name()),
                    dataset.path(),
                    column.metadata().getString(HiddenMetadata.UNSUPPORTED)));
      }
    }
    return new ArrowScan(dataset, selected, options);
  }
}
