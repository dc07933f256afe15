package org.sparkmoe.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Which GPU serves whom, over a driver that only keeps books. */
final class GpusTest {
  private final FakeDriver fake = new FakeDriver();

  @AfterEach
  void close() {
    fake.close();
  }

  private long contexts() {
    return fake.calls.stream().filter(call -> call.startsWith("cuDevicePrimaryCtxRetain")).count();
  }

  @Test
  void everyGpuHasOneContextForAllWhoAsk() {
    fake.devices = 2;
    Gpus gpus = new Gpus(fake.driver());
    assertThat(contexts()).as("nothing is opened before it is asked for").isZero();
    Gpu second = gpus.gpu(1);
    assertThat(second.toString()).startsWith("GPU 1, ");
    assertThat(contexts()).isEqualTo(1);
    assertThat(gpus.gpu(1)).isSameAs(second);
    assertThat(gpus.gpu(0).toString()).startsWith("GPU 0, ");
    assertThat(contexts()).isEqualTo(2);
    gpus.gpu(0).close();
    second.close();
  }

  @Test
  void oneThatDoesNotOpenIsNotTriedAgainAndKeepsItsReason() {
    Gpus gpus = new Gpus(fake.driver());
    for (int time = 0; time < 2; time++) {
      assertThatThrownBy(() -> gpus.gpu(3))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage(
              "GPU 3 was asked for and there are 0 to 0; set -Dspark.moe.cuda.device to one of"
                  + " them, or let Spark give tasks others");
    }
    assertThat(contexts()).isZero();
  }

  /** More tasks than lanes: the last waits until one is done, and nothing is opened for it. */
  @Test
  void soManyBatchesAreUnderWayAsThereAreLanes() throws InterruptedException {
    Gpu gpu = new Gpus(fake.driver()).gpu(0);
    List<Lane> taken = new ArrayList<>();
    for (int lane = 0; lane < Gpu.LANES; lane++) {
      taken.add(gpu.lane());
    }
    CountDownLatch served = new CountDownLatch(1);
    Thread late =
        Thread.ofPlatform()
            .start(
                () -> {
                  gpu.lane().close();
                  served.countDown();
                });
    assertThat(served.await(100, TimeUnit.MILLISECONDS)).as("served without a lane").isFalse();
    taken.getFirst().close();
    assertThat(served.await(10, TimeUnit.SECONDS)).as("served").isTrue();
    late.join();
    assertThat(fake.calls).filteredOn(call -> call.startsWith("cuStreamCreate")).hasSize(Gpu.LANES);
    gpu.close();
  }
}
