package org.sparkmoe.kernels.backend;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.sparkmoe.kernels.backend.BackendSelector.Request;

final class BackendTest {
  @ParameterizedTest
  @EnumSource
  void isFoundByItsOption(Backend backend) {
    assertThat(backend.option()).matches("[a-z0-9-]+");
    assertThat(Request.parse(backend.option()).candidates()).isEqualTo(List.of(backend));
  }

  @ParameterizedTest
  @EnumSource(names = {"SCALAR", "VECTOR"})
  void whatRunsOnTheJvmGivesTheSameBitsEverywhere(Backend backend) {
    assertThat(backend.bitsDependOn()).isEmpty();
  }

  @ParameterizedTest
  @EnumSource(names = {"ONEDNN", "ONEDNN_BF16"})
  void nativeKernelsSayWhatTheirBitsDependOn(Backend backend) {
    assertThat(backend.bitsDependOn()).hasValueSatisfying(what -> assertThat(what).contains("CPU"));
  }
}
