package org.sparkmoe.kernels.experts;

import java.util.function.IntUnaryOperator;
import org.sparkmoe.kernels.permute.ExpertMap;

/**
 * The loop over local experts that every format shares: an expert without rows is not even read.
 */
final class GroupedLoop {
  private GroupedLoop() {}

  /** What is done for one expert. */
  @FunctionalInterface
  interface Body {
    void run(PreparedExpert expert, int local, int rows);
  }

  static void run(ExpertMap map, ExpertBank bank, IntUnaryOperator rowsOf, Body body) {
    for (int local = 0; local < map.localExperts(); local++) {
      int rows = rowsOf.applyAsInt(local);
      if (rows > 0) {
        try (ExpertLease lease = bank.acquire(map.global(local))) {
          body.run(lease.expert(), local, rows);
        }
      }
    }
  }
}
