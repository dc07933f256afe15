package org.sparkmoe.datasets.arrow;

import java.util.Map;
import org.apache.spark.sql.connector.catalog.Table;
import org.apache.spark.sql.connector.catalog.TableProvider;
import org.apache.spark.sql.connector.expressions.Transform;
import org.apache.spark.sql.sources.DataSourceRegister;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/**
 * {@code spark.read().format("moe-arrow").load(path)}: a file, a folder or a glob of Arrow IPC
 * files, on any Hadoop file system.
 *
 * <p>Options: {@code maxPartitionBytes} (default {@code spark.sql.files.maxPartitionBytes}), and
 * {@code memoryLimit}, the Arrow memory of an executor (default: half of its heap size, off-heap).
 * All options are also given to the Hadoop file system.
 */
public final class ArrowSource implements TableProvider, DataSourceRegister {
  /** The format's name. */
  public static final String NAME = "moe-arrow";

  /** Spark asks for the schema and then for the table; the files are indexed once for both. */
  private ArrowDataset dataset;

  @Override
  public String shortName() {
    return NAME;
  }

  @Override
  public StructType inferSchema(CaseInsensitiveStringMap options) {
    dataset = open(options);
    return dataset.schema();
  }

  @Override
  public Table getTable(
      StructType schema, Transform[] partitioning, Map<String, String> properties) {
    return new ArrowTable(
        dataset != null ? dataset : open(new CaseInsensitiveStringMap(properties)));
  }

  private static ArrowDataset open(CaseInsensitiveStringMap map) {
    ReadOptions options = new ReadOptions(map);
    return ArrowDataset.open(options.path(NAME), options.hadoop());
  }
}
