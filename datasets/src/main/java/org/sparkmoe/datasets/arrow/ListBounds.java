package org.sparkmoe.datasets.arrow;

import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.complex.FixedSizeListVector;
import org.apache.arrow.vector.complex.LargeListVector;
import org.apache.arrow.vector.complex.ListVector;

/** Where each list of a vector begins and ends among its elements; the same for all list types. */
interface ListBounds {
  int start(int row);

  int end(int row);

  /** The elements of all lists. */
  FieldVector elements();

  static ListBounds of(FieldVector vector) {
    return switch (vector) {
      case ListVector list -> of(list);
      case LargeListVector list -> of(list);
      case FixedSizeListVector list -> of(list);
      default -> throw new IllegalArgumentException("not a list: " + vector.getField());
    };
  }

  private static ListBounds of(ListVector list) {
    return new ListBounds() {
      @Override
      public int start(int row) {
        return list.getElementStartIndex(row);
      }

      @Override
      public int end(int row) {
        return list.getElementEndIndex(row);
      }

      @Override
      public FieldVector elements() {
        return list.getDataVector();
      }
    };
  }

  private static ListBounds of(LargeListVector list) {
    // The loader has checked that every offset lies among the elements, whose count is an int.
    return new ListBounds() {
      @Override
      public int start(int row) {
        return (int) list.getElementStartIndex(row);
      }

      @Override
      public int end(int row) {
        return (int) list.getElementEndIndex(row);
      }

      @Override
      public FieldVector elements() {
        return list.getDataVector();
      }
    };
  }

  private static ListBounds of(FixedSizeListVector list) {
    return new ListBounds() {
      @Override
      public int start(int row) {
        return row * list.getListSize();
      }

      @Override
      public int end(int row) {
        return (row + 1) * list.getListSize();
      }

      @Override
      public FieldVector elements() {
        return list.getDataVector();
      }
    };
  }
}
