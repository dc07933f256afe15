package org.sparkmoe.datasets.arrow;

import java.util.Arrays;
import java.util.Set;
import org.apache.spark.sql.connector.catalog.Column;
import org.apache.spark.sql.connector.catalog.SupportsRead;
import org.apache.spark.sql.connector.catalog.TableCapability;
import org.apache.spark.sql.connector.read.ScanBuilder;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/** The table that Spark sees of an {@link ArrowDataset}. */
final class ArrowTable implements SupportsRead {
  private final ArrowDataset dataset;

  ArrowTable(ArrowDataset dataset) {
    this.dataset = dataset;
  }

  @Override
  public String name() {
    return ArrowSource.NAME + " " + dataset.path();
  }

  @Override
  public Column[] columns() {
    return Arrays.stream(dataset.schema().fields())
        .map(f -> Column.create(f.name(), f.dataType(), true, null, f.metadata().json()))
        .toArray(Column[]::new);
  }

  @Override
  public Set<TableCapability> capabilities() {
    return Set.of(TableCapability.BATCH_READ);
  }

  @Override
  public ScanBuilder newScanBuilder(CaseInsensitiveStringMap options) {
    return new ArrowScanBuilder(dataset, new ReadOptions(options));
  }
}
