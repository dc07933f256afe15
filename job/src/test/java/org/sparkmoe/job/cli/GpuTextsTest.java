package org.sparkmoe.job.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.sparkmoe.kernels.layer.LayerMemory;

final class GpuTextsTest {
  private static final LayerMemory LAYER = new LayerMemory(0, 12L << 20, 64, 0);

  private static List<String> lines(Optional<String> routesOnCpu, long store) {
    return GpuTexts.lines(
        "sm_90a for bf16 weights", routesOnCpu, LAYER, store, 3, 96L << 20, 79L << 30, 80L << 30);
  }

  @Test
  void saysWhatComputesAndWhatItTakes() {
    assertThat(lines(Optional.empty(), LAYER.whole()))
        .containsExactly(
            "         kernels sm_90a for bf16 weights; router on the GPU",
            "         memory of the GPU: weights 768 MiB, 3 batches of up to 96.0 MiB under way;"
                + " 79.0 GiB of 80.0 GiB free");
  }

  @Test
  void saysWhatIsNotThere() {
    assertThat(lines(Optional.of("sparsemixer"), 200L << 20))
        .containsExactly(
            "         kernels sm_90a for bf16 weights; router on the CPU: sparsemixer",
            "         memory of the GPU: weights 200 MiB, room for 16 of 64 experts: the others"
                + " arrive while those are computed, 3 batches of up to 96.0 MiB under way; 79.0"
                + " GiB of 80.0 GiB free");
  }
}
