package org.sparkmoe.udfs.executor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Map;
import java.util.OptionalInt;
import org.apache.spark.resource.ResourceInformation;
import org.junit.jupiter.api.Test;
import org.sparkmoe.datasets.InputException;

final class TaskGpuTest {
  private static OptionalInt gpu(String... addresses) {
    return TaskGpu.of(Map.of("gpu", new ResourceInformation("gpu", addresses)));
  }

  @Test
  void theFirstAddressIsTheGpu() {
    assertThat(gpu("1")).hasValue(1);
    assertThat(gpu("3", "0")).hasValue(3);
  }

  @Test
  void aTaskWithoutOneHasNone() {
    assertThat(TaskGpu.of(Map.of())).isEmpty();
    assertThat(gpu()).isEmpty();
    assertThat(TaskGpu.of(Map.of("fpga", new ResourceInformation("fpga", new String[] {"1"}))))
        .isEmpty();
  }

  @Test
  void anAddressThatIsNoNumberIsRefused() {
    assertThatThrownBy(() -> gpu("GPU-5f"))
        .isInstanceOf(InputException.class)
        .hasMessage(
            "Spark gave a task the GPU 'GPU-5f'; the discovery script has to print numbers, 0 for"
                + " the first");
  }
}
