package org.sparkmoe.job.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

final class GpuTextsTest {
  @Test
  void saysWhatComputesAndWhatItTakes() {
    assertThat(
            GpuTexts.lines(
                "sm_90a for bf16 weights", 768L << 20, 3, 96L << 20, 79L << 30, 80L << 30))
        .containsExactly(
            "         kernels sm_90a for bf16 weights",
            "         memory of the GPU: weights 768 MiB, 3 batches of up to 96.0 MiB under way;"
                + " 79.0 GiB of 80.0 GiB free");
  }
}
