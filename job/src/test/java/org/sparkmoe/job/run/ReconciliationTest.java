package org.sparkmoe.job.run;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

final class ReconciliationTest {

  @Test
  void agrees() {
    assertThatCode(() -> Reconciliation.check(10, 2, units(10, 2), 32, 4))
        .doesNotThrowAnyException();
  }

  @Test
  void aLostRowFails() {
    assertThatIllegalStateException()
        .isThrownBy(() -> Reconciliation.check(10, 2, units(9, 2), 32, 4))
        .withMessageContaining("rows of outputs/: 9, but 10 rows were read");
  }

  @Test
  void aDoubledRowFails() {
    assertThatIllegalStateException()
        .isThrownBy(() -> Reconciliation.check(10, 2, units(11, 2), 32, 4))
        .withMessageContaining("rows of outputs/: 11");
  }

  @Test
  void anErrorThatBecameAnOutputFails() {
    assertThatIllegalStateException()
        .isThrownBy(() -> Reconciliation.check(10, 2, units(10, 1), 32, 4))
        .withMessageContaining("with an error: 1, but 2 could not be scored");
  }

  @Test
  void aLostRouteFails() {
    assertThatIllegalStateException()
        .isThrownBy(() -> Reconciliation.check(10, 2, units(10, 2), 31, 4))
        .withMessageContaining("rows of routes/: 31, but 32 routes were chosen");
  }

  @Test
  void unitsAreSummedUp() {
    assertThatCode(() -> Reconciliation.check(20, 4, units(10, 2, 10, 2), 64, 4))
        .doesNotThrowAnyException();
    assertThatIllegalStateException()
        .isThrownBy(() -> Reconciliation.check(20, 4, units(10, 2, 9, 2), 64, 4))
        .withMessageContaining("rows of outputs/: 19, but 20 rows were read");
  }

  /** Units of rows and errors, in turn. */
  private static List<FinishedUnit> units(long... counts) {
    List<FinishedUnit> units = new ArrayList<>();
    for (int i = 0; i < counts.length; i += 2) {
      units.add(
          new FinishedUnit(
              i, i, i + 1, counts[i], counts[i + 1], 0, List.of(), List.of(), List.of(), 0, 1));
    }
    return units;
  }
}
