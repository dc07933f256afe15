package org.sparkmoe.job.plan;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class UnitPlanTest {
  private static final long UNIT = UnitPlan.DEFAULT_TOKENS;

  @ParameterizedTest
  @CsvSource({
    // tokens, partitions, slots, wished (0 for none), units
    "0, 1, 8, 0, 1",
    "1, 1, 8, 0, 1",
    "1, 7, 1, 1, 1",
    "60, 6, 2, 10, 6",
    "60, 6, 2, 9, 6",
    "60, 4, 100, 10, 4",
    "61, 100, 2, 30, 3",
    "1000000, 500, 1, 1, 500",
    "262144, 100, 2, 0, 1",
    "262145, 100, 2, 0, 2",
    "5000000, 40, 2, 0, 20",
    "5000000, 40, 4, 0, 10",
    "5000000, 3, 4, 0, 1",
    "100000000000, 100000, 4, 0, 64",
    "100000000000, 8000, 4000, 0, 2",
    "9223372036854775807, 2147483647, 1, 0, 64",
  })
  void howMany(long tokens, int partitions, int slots, long wished, int units) {
    OptionalLong asked = wished == 0 ? OptionalLong.empty() : OptionalLong.of(wished);

    assertThat(UnitPlan.of(tokens, partitions, slots, asked))
        .isEqualTo(new UnitPlan(units, partitions));
  }

  @ParameterizedTest
  @CsvSource({"1, 1", "1, 5", "5, 5", "3, 10", "7, 100", "64, 2147483647"})
  void rangesCoverAllPartitionsEvenly(int units, int partitions) {
    UnitPlan plan = new UnitPlan(units, partitions);

    assertThat(plan.first(0)).isZero();
    assertThat(plan.end(units - 1)).isEqualTo(partitions);
    for (int unit = 0; unit < units; unit++) {
      assertThat(plan.end(unit) - plan.first(unit))
          .isBetween(partitions / units, Math.ceilDiv(partitions, units));
      assertThat(unit == 0 ? 0 : plan.end(unit - 1)).isEqualTo(plan.first(unit));
    }
  }

  @Test
  void tokensOfAUnitAreRoundedUp() {
    assertThat(new UnitPlan(3, 9).tokens(10)).isEqualTo(4);
    assertThat(new UnitPlan(1, 9).tokens(UNIT)).isEqualTo(UNIT);
  }
}
