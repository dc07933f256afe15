package org.sparkmoe.job.run;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import org.junit.jupiter.api.Test;

final class ReconciliationTest {

  @Test
  void agrees() {
    assertThatCode(() -> Reconciliation.check(10, 2, new CountedTable(10, 2), 32, 4))
        .doesNotThrowAnyException();
  }

  @Test
  void aLostRowFails() {
    assertThatIllegalStateException()
        .isThrownBy(() -> Reconciliation.check(10, 2, new CountedTable(9, 2), 32, 4))
        .withMessageContaining("rows of outputs/: 9, but 10 rows were read");
  }

  @Test
  void aDoubledRowFails() {
    assertThatIllegalStateException()
        .isThrownBy(() -> Reconciliation.check(10, 2, new CountedTable(11, 2), 32, 4))
        .withMessageContaining("rows of outputs/: 11");
  }

  @Test
  void anErrorThatBecameAnOutputFails() {
    assertThatIllegalStateException()
        .isThrownBy(() -> Reconciliation.check(10, 2, new CountedTable(10, 1), 32, 4))
        .withMessageContaining("with an error: 1, but 2 could not be scored");
  }

  @Test
  void aLostRouteFails() {
    assertThatIllegalStateException()
        .isThrownBy(() -> Reconciliation.check(10, 2, new CountedTable(10, 2), 31, 4))
        .withMessageContaining("rows of routes/: 31, but 32 routes were chosen");
  }
}
