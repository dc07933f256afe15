package org.sparkmoe.datasets.arrow;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.arrow.flatbuf.FieldNode;
import org.apache.arrow.flatbuf.Message;
import org.apache.arrow.flatbuf.MessageHeader;
import org.apache.arrow.flatbuf.RecordBatch;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.FixedSizeBinaryVector;
import org.apache.arrow.vector.TypeLayout;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.spark.sql.vectorized.ArrowColumnVector;
import org.apache.spark.sql.vectorized.ColumnVector;
import org.apache.spark.sql.vectorized.ColumnarBatch;

/** Makes Spark's batches of the selected columns of a file. */
final class BatchLoader {
  private final ArrowInput input;
  private final BufferAllocator allocator;
  private final List<ArrowColumn> columns;

  /** Per column of the file its place in the result, or -1. */
  private final int[] places;

  private final int selected;

  BatchLoader(
      ArrowInput input, BufferAllocator allocator, List<ArrowColumn> columns, List<String> names) {
    this.input = input;
    this.allocator = allocator;
    this.columns = columns;
    this.places = columns.stream().mapToInt(column -> names.indexOf(column.name())).toArray();
    this.selected = names.size();
  }

  /** Reads one record batch. The caller closes it. */
  ColumnarBatch load(BatchBlock block) throws IOException {
    Message message = input.message(block.offset(), block.metadataLength());
    if (message.headerType() != MessageHeader.RecordBatch
        || message.bodyLength() > block.bodyLength()) {
      throw input.damaged("no record batch at " + block.offset());
    }
    RecordBatch batch = (RecordBatch) message.header(new RecordBatch());
    if (batch.length() < 0 || batch.length() >= Integer.MAX_VALUE) {
      throw input.damaged("a record batch states " + batch.length() + " rows");
    }
    ColumnVector[] vectors = new ColumnVector[selected];
    try {
      fill(block, batch, vectors);
      return new ColumnarBatch(vectors, (int) batch.length());
    } catch (IOException | RuntimeException e) {
      for (ColumnVector vector : vectors) {
        if (vector != null) {
          vector.close();
        }
      }
      throw e;
    }
  }

  /** A batch lists nodes and buffers depth first, in the order of the schema, with no names. */
  private void fill(BatchBlock block, RecordBatch batch, ColumnVector[] vectors)
      throws IOException {
    Extent before = new Extent(0, 0, 0);
    for (int i = 0; i < columns.size(); i++) {
      Extent extent = extent(columns.get(i).field(), batch, before.views);
      Extent after = before.plus(extent);
      if (after.nodes > batch.nodesLength() || after.buffers > batch.buffersLength()) {
        throw input.damaged("a record batch has fewer columns than the schema");
      }
      if (places[i] >= 0) {
        vectors[places[i]] = load(columns.get(i), block, batch, before, extent);
      }
      before = after;
    }
    if (before.nodes != batch.nodesLength() || before.buffers != batch.buffersLength()) {
      throw input.damaged("a record batch has more columns than the schema");
    }
  }

  private ColumnVector load(
      ArrowColumn column, BatchBlock block, RecordBatch batch, Extent before, Extent extent)
      throws IOException {
    List<FieldNode> nodes = new ArrayList<>();
    for (int i = 0; i < extent.nodes; i++) {
      nodes.add(batch.nodes(before.nodes + i));
    }
    FieldVector vector = column.field().createVector(allocator);
    try (BodyBuffers buffers =
        BodyBuffers.read(input, allocator, block, batch, before.buffers, extent.buffers)) {
      new ColumnLoader(input, nodes, buffers).load(vector, batch.length());
      return view(column, vector);
    } catch (IOException | RuntimeException e) {
      vector.close();
      throw e;
    }
  }

  private static ColumnVector view(ArrowColumn column, FieldVector vector) {
    return switch (column.view()) {
      case PLAIN -> new ArrowColumnVector(vector);
      case LIST -> new ListColumn(column.type(), vector);
      case HALF_LIST -> new HalfListColumn(vector);
      case FIXED_BINARY -> new FixedBinaryColumn((FixedSizeBinaryVector) vector);
      case NONE -> throw new IllegalStateException("selected: " + column.field());
    };
  }

  private record Extent(int nodes, int buffers, int views) {
    Extent plus(Extent other) {
      return new Extent(
          Math.addExact(nodes, other.nodes),
          Math.addExact(buffers, other.buffers),
          views + other.views);
    }
  }

  /** How many nodes and buffers {@code field} has in {@code batch}. */
  private static Extent extent(Field field, RecordBatch batch, int firstView) {
    if (field.getDictionary() != null) {
      // The batch holds the indices only: validity and integers.
      return new Extent(1, 2, 0);
    }
    ArrowType type = field.getType();
    boolean view = type instanceof ArrowType.Utf8View || type instanceof ArrowType.BinaryView;
    int more = view ? Math.toIntExact(batch.variadicBufferCounts(firstView)) : 0;
    Extent extent =
        new Extent(
            1, Math.addExact(TypeLayout.getTypeBufferCount(type), Math.max(0, more)), view ? 1 : 0);
    for (Field child : field.getChildren()) {
      extent = extent.plus(extent(child, batch, firstView + extent.views));
    }
    return extent;
  }
}
