package org.sparkmoe.kernels.onednn;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.TreeMap;
import org.junit.jupiter.api.Test;

final class RowBlocksTest {

  @Test
  void aBlockIsFilledUpByAnEighthAtMost() {
    assertThat(RowBlocks.size(1)).as("one row is summed in another order").isEqualTo(2);
    for (int rows = 2; rows <= RowBlocks.MOST; rows++) {
      assertThat(RowBlocks.size(rows)).isBetween(rows, rows + (rows - 1) / 8);
      assertThat(RowBlocks.size(RowBlocks.size(rows))).isEqualTo(RowBlocks.size(rows));
    }
  }

  @Test
  void rowsOfAllBlocks() {
    assertThat(RowBlocks.computed(0)).isZero();
    assertThat(RowBlocks.computed(1)).isEqualTo(2);
    assertThat(RowBlocks.computed(17)).isEqualTo(18);
    assertThat(RowBlocks.computed(2 * RowBlocks.MOST)).isEqualTo(2 * RowBlocks.MOST);
    assertThat(RowBlocks.computed(RowBlocks.MOST + 33)).isEqualTo(RowBlocks.MOST + 36);
  }

  @Test
  void everySizeHasAnIndexOfItsOwn() {
    TreeMap<Integer, Integer> sizes = new TreeMap<>();
    for (int rows = 1; rows <= RowBlocks.MOST; rows++) {
      int size = RowBlocks.size(rows);
      assertThat(sizes.merge(RowBlocks.index(size), size, (a, b) -> b)).isEqualTo(size);
    }
    assertThat(sizes.values()).doesNotHaveDuplicates().hasSize(47);
    assertThat(sizes.lastKey()).isLessThan(RowBlocks.indexes());
  }
}
