package org.sparkmoe.udfs.executor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.experts.ExpertLease;
import org.sparkmoe.kernels.experts.PreparedExpert;
import org.sparkmoe.kernels.layer.LayerMemory;
import org.sparkmoe.kernels.layer.PreparedLayer;
import org.sparkmoe.kernels.tensor.Workspace;
import org.sparkmoe.udfs.executor.ExecutorLayers.Lease;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.testing.Plans;

@ExtendWith(LocalSpark.class)
final class ExecutorLayersTest {
  private static final int CALLERS = 8;

  @TempDir private Path folder;

  @Test
  void loadsOnceForAllWhoAskAtTheSameTime() throws Exception {
    LayerPlan plan = Plans.fixture("olmoe").plan();
    try (ExecutorService pool = Executors.newFixedThreadPool(CALLERS)) {
      List<Callable<Lease>> asked = new ArrayList<>();
      for (int i = 0; i < CALLERS; i++) {
        asked.add(() -> ExecutorLayers.acquire(plan, OptionalInt.empty()));
      }
      List<PreparedLayer> layers = new ArrayList<>();
      for (Future<Lease> answer : pool.invokeAll(asked)) {
        try (Lease lease = answer.get()) {
          layers.add(lease.layer());
        }
      }
      assertThat(layers).hasSize(CALLERS).allMatch(layer -> layer == layers.getFirst());
    }
  }

  @Test
  void tasksOfARunShareALayer(SparkSession spark) {
    LayerPlan plan = Plans.fixture("olmoe").plan();
    MapPartitionsFunction<Long, Integer> identity =
        rows -> {
          PreparedLayer layer = TaskScope.current().layer(plan);
          return List.of(System.identityHashCode(layer)).iterator();
        };
    List<Integer> layers =
        spark.range(0, 8, 1, 8).mapPartitions(identity, Encoders.INT()).collectAsList();
    assertThat(layers).hasSize(8);
    assertThat(layers.stream().distinct()).hasSize(1);
  }

  @Test
  void idleLayerStaysForTheNextStageOfItsRun() {
    LayerPlan plan = Plans.fixture("olmoe").plan();
    assertThat(layerOf(plan)).isSameAs(layerOf(plan));
  }

  @Test
  void idleLayerIsClosedWhenAnotherIsAskedFor() {
    Plans plans = Plans.fixture("olmoe");
    PreparedLayer first = layerOf(plans.plan());
    layerOf(plans.withRunId("another").plan());
    assertThatThrownBy(() -> use(first)).isInstanceOf(IllegalStateException.class);
    use(layerOf(plans.plan()));
  }

  @Test
  void layerInUseOutlivesTheOthers() {
    Plans plans = Plans.fixture("olmoe");
    try (Lease first = ExecutorLayers.acquire(plans.plan(), OptionalInt.empty())) {
      layerOf(plans.withRunId("another").plan());
      layerOf(Plans.fixture("qwen3_moe").plan());
      use(first.layer());
      assertThat(layerOf(plans.plan())).isSameAs(first.layer());
    }
  }

  @Test
  void holdsAsManyExpertsAsThePlanSays() {
    Plans plans = Plans.fixture("olmoe");
    LayerMemory memory =
        LayerMemory.of(
            plans.layer().spec(),
            plans.layer().formats(),
            plans.layer().sharedFormats().orElse(null),
            ExpertKernel.of(plans.backend()));
    try (Lease one =
        ExecutorLayers.acquire(plans.withStoreBytes(memory.least(1)).plan(), OptionalInt.empty())) {
      PreparedExpert first = expert(one.layer(), 0);
      assertThat(expert(one.layer(), 0)).isSameAs(first);
      expert(one.layer(), 1);
      assertThat(expert(one.layer(), 0)).as("packed again").isNotSameAs(first);
    }
    try (Lease two =
        ExecutorLayers.acquire(plans.withStoreBytes(memory.least(2)).plan(), OptionalInt.empty())) {
      PreparedExpert first = expert(two.layer(), 0);
      expert(two.layer(), 1);
      assertThat(expert(two.layer(), 0)).isSameAs(first);
    }
  }

  @Test
  void runsSideBySideKeepToTheirOwnBudgets() {
    Plans plans = Plans.fixture("olmoe");
    LayerMemory memory =
        LayerMemory.of(
            plans.layer().spec(),
            plans.layer().formats(),
            plans.layer().sharedFormats().orElse(null),
            ExpertKernel.of(plans.backend()));
    Plans tight = plans.withRunId("tight").withStoreBytes(memory.least(1));
    try (Lease wide = ExecutorLayers.acquire(plans.plan(), OptionalInt.empty())) {
      PreparedExpert first = expert(wide.layer(), 0);
      try (Lease narrow = ExecutorLayers.acquire(tight.plan(), OptionalInt.empty())) {
        expert(narrow.layer(), 0);
        expert(narrow.layer(), 1);
        expert(wide.layer(), 1);
        assertThat(expert(wide.layer(), 0)).isSameAs(first);
      }
    }
  }

  @Test
  void failedLoadCanBeRetried() throws Exception {
    Fixtures.copy("olmoe", folder);
    LayerPlan plan = Plans.of(folder, 0).plan();
    Path shard = folder.resolve("model.safetensors");
    Path away = Files.move(shard, folder.resolve("away"));
    for (int attempt = 0; attempt < 2; attempt++) {
      assertThatThrownBy(() -> ExecutorLayers.acquire(plan, OptionalInt.empty()))
          .isInstanceOf(InputException.class)
          .hasMessageContaining("model.safetensors");
    }
    Files.move(away, shard);
    PreparedLayer layer = layerOf(plan);
    use(layer);
    // the failed tries hold nothing back
    layerOf(Plans.fixture("qwen3_moe").plan());
    assertThatThrownBy(() -> use(layer)).isInstanceOf(IllegalStateException.class);
  }

  private static PreparedLayer layerOf(LayerPlan plan) {
    try (Lease lease = ExecutorLayers.acquire(plan, OptionalInt.empty())) {
      return lease.layer();
    }
  }

  private static PreparedExpert expert(PreparedLayer layer, int id) {
    try (ExpertLease lease = layer.acquire(id)) {
      return lease.expert();
    }
  }

  private static void use(PreparedLayer layer) {
    int topK = layer.spec().topK();
    layer.route(
        1,
        MemorySegment.ofArray(new float[layer.spec().hidden()]),
        new int[topK],
        new float[topK],
        Workspace.ofBytes(layer.workspaceBytes(1)));
  }
}
