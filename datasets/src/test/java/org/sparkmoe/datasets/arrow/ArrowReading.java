package org.sparkmoe.datasets.arrow;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.arrow.vector.compression.CompressionUtil.CodecType;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.vectorized.ColumnVector;
import org.apache.spark.sql.vectorized.ColumnarBatch;

/** Reads every value of an Arrow file, as tasks do; public because fuzzers read that way too. */
public final class ArrowReading {
  private ArrowReading() {}

  /** Reads all columns that can be read, with {@code memory} bytes for their buffers. */
  public static void readAll(String uri, long bytes, Configuration conf, long memory)
      throws IOException {
    ArrowIndex index = ArrowIndexer.index(uri, bytes, conf);
    List<ArrowColumn> columns = ArrowDataset.open(index.path(), conf).columns();
    List<String> names = new ArrayList<>();
    columns.stream().filter(ArrowColumn::readable).forEach(column -> names.add(column.name()));
    for (ArrowSplit split : ArrowSplit.plan(List.of(index), 1, 0)) {
      try (ArrowBatchReader reader = new ArrowBatchReader(split, columns, names, memory, conf)) {
        while (reader.next()) {
          touch(reader.get());
        }
      }
    }
  }

  /** Bytes that readers hold outside the heap: 0 when all are closed. */
  public static long held() {
    return ArrowMemory.allocated();
  }

  /** A whole file of ids and lists of floats, in two batches. */
  public static byte[] tokens(Path folder, boolean stream, CodecType codec, ArrowType list)
      throws IOException {
    Path file = folder.resolve("whole.arrow");
    Files.deleteIfExists(file);
    Field hidden = ArrowFixture.list("hidden", list, ArrowFixture.F32);
    List<Field> fields = List.of(ArrowFixture.field("id", ArrowFixture.LONG), hidden);
    ArrowFixture.write(file, stream, codec, fields, 2, ArrowLayoutTest::fill);
    return Files.readAllBytes(file);
  }

  private static void touch(ColumnarBatch batch) {
    for (int c = 0; c < batch.numCols(); c++) {
      ColumnVector column = batch.column(c);
      for (int row = 0; row < batch.numRows(); row++) {
        if (column.isNullAt(row)) {
          continue;
        }
        if (column.dataType().equals(DataTypes.LongType)) {
          column.getLong(row);
        } else if (column.dataType().equals(DataTypes.BinaryType)) {
          column.getBinary(row);
        } else if (column.dataType() instanceof ArrayType array
            && array.elementType().equals(DataTypes.FloatType)) {
          column.getArray(row).copy();
        }
      }
    }
  }
}
