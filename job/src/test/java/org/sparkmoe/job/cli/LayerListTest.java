package org.sparkmoe.job.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sparkmoe.datasets.InputException;

final class LayerListTest {

  @Test
  void numbersAndRangesInOrder() {
    assertThat(LayerList.parse("3")).containsExactly(3);
    assertThat(LayerList.parse("11, 3,7")).containsExactly(3, 7, 11);
    assertThat(LayerList.parse("9,0-2,5-5")).containsExactly(0, 1, 2, 5, 9);
  }

  @ParameterizedTest
  @CsvSource({
    "'', '\"\" is no layer'",
    "'3,', '\"\" is no layer'",
    "'3,x', '\"x\" is no layer'",
    "-1, '\"-1\" is no layer'",
    "3-, '\"3-\" is no layer'",
    "99999999999, is no layer",
    "5-4, the range 5-4 is empty",
    "'3,2-4', layer 3 is given twice",
  })
  void othersAreRefused(String text, String words) {
    assertThatThrownBy(() -> LayerList.parse(text))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("--layers " + text)
        .hasMessageContaining(words)
        .hasMessageContaining("for example 3,7,11 or 0-15");
  }
}
