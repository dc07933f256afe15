package org.sparkmoe.datasets.arrow;

import java.util.ArrayList;
import java.util.List;
import java.util.function.IntToLongFunction;
import org.apache.arrow.flatbuf.FieldNode;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.vector.BaseFixedWidthVector;
import org.apache.arrow.vector.BaseLargeVariableWidthVector;
import org.apache.arrow.vector.BaseVariableWidthVector;
import org.apache.arrow.vector.BitVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.TypeLayout;
import org.apache.arrow.vector.complex.FixedSizeListVector;
import org.apache.arrow.vector.complex.LargeListVector;
import org.apache.arrow.vector.complex.ListVector;
import org.apache.arrow.vector.ipc.message.ArrowFieldNode;

/**
 * Fills the vectors of one column with the buffers of one record batch.
 *
 * <p>Arrow's own loader believes what the batch says, and then an offset of two billion is an
 * allocation of that size when its row is read. Here lengths and offsets are checked first.
 */
final class ColumnLoader {
  /** The buffers of the column, in the batch's order; whoever takes one closes it. */
  interface Buffers {
    ArrowBuf take(int index);
  }

  private final ArrowInput input;
  private final List<FieldNode> nodes;
  private final Buffers buffers;
  private int nextNode;
  private int nextBuffer;

  ColumnLoader(ArrowInput input, List<FieldNode> nodes, Buffers buffers) {
    this.input = input;
    this.nodes = nodes;
    this.buffers = buffers;
  }

  /** Loads {@code vector}, which has to hold {@code rows}. */
  void load(FieldVector vector, long rows) {
    if (count(nodes.get(nextNode)) != rows) {
      throw bad(vector, "has %d rows of %d".formatted(nodes.get(nextNode).length(), rows));
    }
    load(vector);
  }

  /** Loads elements before their lists, so that lists are checked against what is there. */
  private void load(FieldVector vector) {
    FieldNode node = nodes.get(nextNode++);
    int length = count(node);
    int firstBuffer = nextBuffer;
    int own = TypeLayout.getTypeBufferCount(vector.getField().getType());
    nextBuffer += own;
    for (FieldVector child : vector.getChildrenFromFields()) {
      load(child);
    }
    List<ArrowBuf> taken = new ArrayList<>();
    try {
      for (int i = 0; i < own; i++) {
        taken.add(buffers.take(firstBuffer + i));
      }
      check(vector, length, taken);
      checkNulls(vector, node, taken.getFirst());
      vector.loadFieldBuffers(new ArrowFieldNode(length, node.nullCount()), taken);
    } finally {
      taken.forEach(ArrowBuf::close);
    }
  }

  private int count(FieldNode node) {
    long length = node.length();
    if (length < 0 || length >= Integer.MAX_VALUE) {
      throw input.damaged("a column states " + length + " values");
    }
    return (int) length;
  }

  private void checkNulls(FieldVector vector, FieldNode node, ArrowBuf validity) {
    boolean implied = node.nullCount() == 0 || node.nullCount() == node.length();
    if (node.nullCount() < 0 || node.nullCount() > node.length()) {
      throw bad(vector, "states %d nulls in %d".formatted(node.nullCount(), node.length()));
    }
    if (validity.capacity() > 0 || !implied) {
      checkBytes(vector, validity, bits(node.length()));
    }
  }

  private void check(FieldVector vector, int length, List<ArrowBuf> taken) {
    switch (vector) {
      case BitVector _ -> checkBytes(vector, taken.get(1), bits(length));
      case BaseFixedWidthVector fixed ->
          checkBytes(vector, taken.get(1), (long) length * fixed.getTypeWidth());
      case BaseVariableWidthVector _ ->
          checkOffsets(vector, length, taken.get(1), 4, taken.get(2).writerIndex());
      case BaseLargeVariableWidthVector _ ->
          checkOffsets(vector, length, taken.get(1), 8, taken.get(2).writerIndex());
      case ListVector list ->
          checkOffsets(vector, length, taken.get(1), 4, list.getDataVector().getValueCount());
      case LargeListVector list ->
          checkOffsets(vector, length, taken.get(1), 8, list.getDataVector().getValueCount());
      case FixedSizeListVector list -> checkFixedLists(list, length);
      default -> throw new IllegalArgumentException("no check for " + vector.getField());
    }
  }

  private void checkFixedLists(FixedSizeListVector list, int length) {
    long elements = list.getDataVector().getValueCount();
    if ((long) length * list.getListSize() != elements) {
      throw bad(
          list, "has %d elements for %d x %d".formatted(elements, length, list.getListSize()));
    }
  }

  private void checkOffsets(FieldVector vector, int length, ArrowBuf offsets, int width, long end) {
    if (length == 0) {
      return;
    }
    checkBytes(vector, offsets, (length + 1L) * width);
    IntToLongFunction offset =
        width == 4 ? i -> offsets.getInt(i * 4L) : i -> offsets.getLong(i * 8L);
    long before = offset.applyAsLong(0);
    boolean ascending = before >= 0;
    for (int i = 1; i <= length && ascending; i++) {
      long here = offset.applyAsLong(i);
      ascending = here >= before && here - before <= Integer.MAX_VALUE;
      before = here;
    }
    if (!ascending || before > end) {
      throw bad(vector, "has offsets outside of its " + end + " values");
    }
  }

  private void checkBytes(FieldVector vector, ArrowBuf buffer, long needed) {
    if (buffer.writerIndex() < needed) {
      throw bad(
          vector, "has a buffer of %d bytes, needs %d".formatted(buffer.writerIndex(), needed));
    }
  }

  private RuntimeException bad(FieldVector vector, String what) {
    return input.damaged("a vector of type " + vector.getField().getType() + " " + what);
  }

  private static long bits(long values) {
    return (values + 7) / 8;
  }
}
