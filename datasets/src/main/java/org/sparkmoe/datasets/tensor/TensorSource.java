package org.sparkmoe.datasets.tensor;

import java.util.Map;
import org.apache.spark.sql.connector.catalog.Table;
import org.apache.spark.sql.connector.catalog.TableProvider;
import org.apache.spark.sql.connector.expressions.Transform;
import org.apache.spark.sql.sources.DataSourceRegister;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;
import org.sparkmoe.datasets.arrow.ReadOptions;

/**
 * {@code spark.read().format("moe-safetensors").load("file.safetensors#tensor.name")}, on any
 * Hadoop file system.
 *
 * <p>Rows: {@code token_id BIGINT}, from 0, and {@code hidden BINARY}, little-endian in the
 * tensor's own element type, which column metadata names. Option: {@code maxPartitionBytes}
 * (default {@code spark.sql.files.maxPartitionBytes}). Each task reads its own rows of the file.
 */
public final class TensorSource implements TableProvider, DataSourceRegister {
  /** The format's name. */
  public static final String NAME = "moe-safetensors";

  /** Column of row numbers. */
  public static final String TOKEN_ID = "token_id";

  /** Column of activations. */
  public static final String HIDDEN = "hidden";

  /** Spark asks for the schema and then for the table; the header is read once for both. */
  private TensorRows tensor;

  @Override
  public String shortName() {
    return NAME;
  }

  @Override
  public StructType inferSchema(CaseInsensitiveStringMap options) {
    tensor = open(options);
    return TensorTable.schema(tensor);
  }

  @Override
  public Table getTable(
      StructType schema, Transform[] partitioning, Map<String, String> properties) {
    return new TensorTable(
        tensor != null ? tensor : open(new CaseInsensitiveStringMap(properties)));
  }

  private static TensorRows open(CaseInsensitiveStringMap map) {
    ReadOptions options = new ReadOptions(map);
    return TensorRows.open(options.path(NAME), options.hadoop());
  }
}
