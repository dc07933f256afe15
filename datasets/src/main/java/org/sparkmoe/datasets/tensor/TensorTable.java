package org.sparkmoe.datasets.tensor;

import java.util.Arrays;
import java.util.Set;
import org.apache.spark.sql.connector.catalog.Column;
import org.apache.spark.sql.connector.catalog.SupportsRead;
import org.apache.spark.sql.connector.catalog.TableCapability;
import org.apache.spark.sql.connector.read.Scan;
import org.apache.spark.sql.connector.read.ScanBuilder;
import org.apache.spark.sql.connector.read.SupportsPushDownRequiredColumns;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.Metadata;
import org.apache.spark.sql.types.MetadataBuilder;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;
import org.sparkmoe.datasets.arrow.HiddenMetadata;
import org.sparkmoe.datasets.arrow.ReadOptions;

/** The table that Spark sees of a tensor. */
final class TensorTable implements SupportsRead {
  private final TensorRows tensor;

  TensorTable(TensorRows tensor) {
    this.tensor = tensor;
  }

  static StructType schema(TensorRows tensor) {
    Metadata hidden =
        new MetadataBuilder()
            .putString(HiddenMetadata.DTYPE, tensor.dtypeName())
            .putLong(HiddenMetadata.WIDTH, tensor.width())
            .build();
    return new StructType()
        .add(TensorSource.TOKEN_ID, DataTypes.LongType, false)
        .add(new StructField(TensorSource.HIDDEN, DataTypes.BinaryType, false, hidden));
  }

  @Override
  public String name() {
    return TensorSource.NAME + " " + tensor.path();
  }

  @Override
  public Column[] columns() {
    return Arrays.stream(schema(tensor).fields())
        .map(f -> Column.create(f.name(), f.dataType(), false, null, f.metadata().json()))
        .toArray(Column[]::new);
  }

  @Override
  public Set<TableCapability> capabilities() {
    return Set.of(TableCapability.BATCH_READ);
  }

  @Override
  public ScanBuilder newScanBuilder(CaseInsensitiveStringMap options) {
    return new Builder(tensor, new ReadOptions(options));
  }

  private static final class Builder implements ScanBuilder, SupportsPushDownRequiredColumns {
    private final TensorRows tensor;
    private final ReadOptions options;
    private StructType required;

    Builder(TensorRows tensor, ReadOptions options) {
      this.tensor = tensor;
      this.options = options;
      this.required = schema(tensor);
    }

    @Override
    public void pruneColumns(StructType needed) {
      Set<String> names = Set.of(needed.fieldNames());
      required =
          new StructType(
              Arrays.stream(schema(tensor).fields())
                  .filter(field -> names.contains(field.name()))
                  .toArray(StructField[]::new));
    }

    @Override
    public Scan build() {
      return new TensorScan(tensor, required, options);
    }
  }
}
