package org.sparkmoe.datasets.arrow;

import java.nio.ByteBuffer;
import java.util.List;
import org.apache.arrow.vector.types.pojo.Schema;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.connector.read.InputPartition;
import org.apache.spark.sql.connector.read.PartitionReader;
import org.apache.spark.sql.connector.read.PartitionReaderFactory;
import org.apache.spark.sql.vectorized.ColumnarBatch;
import org.apache.spark.util.SerializableConfiguration;

/**
 * Opens splits on executors.
 *
 * @param schema of all files, as an Arrow message
 * @param names of the selected columns
 * @param memoryLimit of the executor's Arrow memory, 0 for the default
 */
record ArrowReaderFactory(
    byte[] schema, List<String> names, long memoryLimit, SerializableConfiguration hadoop)
    implements PartitionReaderFactory {

  @Override
  public boolean supportColumnarReads(InputPartition partition) {
    return true;
  }

  @Override
  public PartitionReader<ColumnarBatch> createColumnarReader(InputPartition partition) {
    Schema arrow = Schema.deserializeMessage(ByteBuffer.wrap(schema));
    return new ArrowBatchReader(
        (ArrowSplit) partition,
        ArrowDataset.columns(arrow.getFields()),
        names,
        memoryLimit > 0 ? memoryLimit : ArrowMemory.defaultLimit(),
        hadoop.value());
  }

  @Override
  public PartitionReader<InternalRow> createReader(InputPartition partition) {
    throw new UnsupportedOperationException(ArrowSource.NAME + " reads columns only");
  }
}
