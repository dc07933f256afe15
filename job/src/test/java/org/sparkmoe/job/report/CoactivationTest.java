package org.sparkmoe.job.report;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.sparkmoe.job.report.Coactivation.Pair;

final class CoactivationTest {

  /** Pairs 01 02 03 04, 12 13 14, 23 24, 34. */
  private static final Coactivation FIVE =
      new Coactivation(5, new long[] {1, 2, 3, 4, 10, 20, 30, 100, 200, 0});

  @Test
  void pairsAreRowsOfTheUpperTriangle() {
    int at = 0;
    for (int first = 0; first < 7; first++) {
      for (int second = first + 1; second < 7; second++) {
        assertThat(Coactivation.index(7, first, second)).isEqualTo(at++);
      }
    }
    assertThat(Coactivation.of(7).counts()).hasSize(at);
    assertThat(FIVE.tokens(1, 4)).isEqualTo(30);
  }

  @Test
  void aCellHoldsTheRoutesOfItsBlock() {
    assertThat(FIVE.cells(1)).containsExactly(0, 1, 2, 3, 4, 0, 10, 20, 30, 0, 100, 200, 0, 0, 0);
    // blocks {0, 1}, {2, 3}, {4}
    assertThat(FIVE.cells(2)).containsExactly(1, 2 + 3 + 10 + 20, 4 + 30, 100, 200 + 0, 0);
    assertThat(FIVE.cells(8)).containsExactly(FIVE.total());
  }

  @Test
  void theStrongestPairsComeFirst() {
    assertThat(FIVE.strongest(2)).containsExactly(new Pair(2, 4, 200), new Pair(2, 3, 100));
    assertThat(FIVE.strongest(99)).hasSize(9);
    assertThat(new Coactivation(3, new long[] {5, 5, 5}).strongest(2))
        .isEqualTo(List.of(new Pair(0, 1, 5), new Pair(0, 2, 5)));
    assertThat(Coactivation.of(1).strongest(3)).isEmpty();
  }

  @Test
  void manyLayersGetLargerCells() {
    assertThat(Coactivation.expertsPerCell(256, 1)).isEqualTo(1);
    assertThat(Coactivation.expertsPerCell(512, 1)).isEqualTo(1);
    assertThat(Coactivation.expertsPerCell(256, 61)).isEqualTo(4);
    assertThat(Coactivation.expertsPerCell(1, 100)).isEqualTo(1);
  }
}
