package org.sparkmoe.job.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.kernels.layer.LayerMemory;

final class DispatchPlannerTest {
  private static final long MIB = 1 << 20;
  private static final Workload WORK = Plans.work(100 * MIB);

  private static DispatchPlan auto(Workload work, ClusterFacts cluster) {
    return plan(work, cluster, Optional.empty(), OptionalInt.empty());
  }

  private static DispatchPlan plan(
      Workload work, ClusterFacts cluster, Optional<DispatchMode> mode, OptionalInt lanes) {
    return DispatchPlanner.plan(work, cluster, Plans.memory(work, cluster), mode, lanes);
  }

  @Test
  void autoMovesNoTokenOnOneMachine() {
    DispatchPlan plan = auto(WORK, Plans.local(2));

    assertThat(plan.chosen().mode()).isEqualTo(DispatchMode.REPLICATED);
    assertThat(plan.lanes()).isEmpty();
    assertThat(plan.reason()).contains("no token has to travel");
    assertThat(plan.candidates()).hasSize(2).contains(plan.chosen());
  }

  @Test
  void autoSpreadsExpertsThatDoNotFitIntoOneExecutor() {
    DispatchPlan plan = auto(WORK, Plans.cluster(2, 8, 60 * MIB));

    assertThat(plan.chosen().mode()).isEqualTo(DispatchMode.EP);
    assertThat(plan.lanes()).hasValue(8);
    assertThat(plan.chosen().weightBytes()).isEqualTo(50 * MIB);
    assertThat(plan.reason()).contains("do not fit");
  }

  @Test
  void autoSpreadsExpertsWhereLoadingThemAllTakesLonger() {
    DispatchPlan plan = auto(Plans.work(10_000 * MIB), Plans.cluster(8, 16));

    assertThat(plan.chosen().mode()).isEqualTo(DispatchMode.EP);
    assertThat(plan.reason()).contains("estimate is lower");
    assertThat(plan.chosen().seconds())
        .isEqualTo(plan.candidates().stream().mapToDouble(Cost::seconds).min().orElseThrow());
  }

  @Test
  void autoTakesTheLimitItself() {
    assertThat(auto(WORK, Plans.cluster(1, 8, 100 * MIB)).chosen().mode())
        .isEqualTo(DispatchMode.REPLICATED);
  }

  @Test
  void refusesWeightsThatFitInNoWay() {
    assertThatThrownBy(() -> auto(WORK, Plans.cluster(2, 8, 49 * MIB)))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("50.0 MiB")
        .hasMessageContaining("49.0 MiB")
        .hasMessageContaining("spark.executor.memoryOverhead");
  }

  @Test
  void countsBuffersWithTheWeights() {
    ClusterFacts cluster = Plans.cluster(2, 8, 60 * MIB);
    LayerMemory layer = new LayerMemory(0, 12 * MIB, 8, 2 * MIB);
    ExecutorMemory memory = ExecutorMemory.of(layer, cluster, 3 * MIB, OptionalLong.empty());

    assertThatThrownBy(
            () ->
                DispatchPlanner.plan(WORK, cluster, memory, Optional.empty(), OptionalInt.empty()))
        .isInstanceOf(InputException.class)
        .hasMessageStartingWith(
            "in the smaller form the weights take 50.0 MiB per executor and buffers 14.0 MiB,"
                + " together 64.0 MiB, the budget is 60.0 MiB; ")
        .hasMessageContaining("--weight-memory");
  }

  @Test
  void aSmallStoreMakesWeightsFitAndExpertsTravel() {
    ClusterFacts cluster = Plans.cluster(1, 2, 60 * MIB);
    ExecutorMemory memory = Plans.memory(WORK, cluster, OptionalLong.of(50 * MIB));

    DispatchPlan plan =
        DispatchPlanner.plan(WORK, cluster, memory, Optional.empty(), OptionalInt.empty());

    // replicated packs all experts for each of 10 batches; a lane's experts are packed once
    assertThat(plan.chosen().mode()).isEqualTo(DispatchMode.EP);
    assertThat(plan.chosen().repacks()).isZero();
    assertThat(plan.candidates().getFirst().repacks()).isEqualTo(9);
  }

  @Test
  void refusesAStoreWithoutAnExpertForEachSlot() {
    assertThat(Plans.memory(WORK, Plans.cluster(2, 4), OptionalLong.of(25 * MIB)).store())
        .isEqualTo(25 * MIB);
    assertThatThrownBy(() -> Plans.memory(WORK, Plans.cluster(2, 4), OptionalLong.of(25 * MIB - 1)))
        .isInstanceOf(InputException.class)
        .hasMessage(
            "--weight-memory 25.0 MiB is below the minimum of 25.0 MiB (26214400 bytes): router and"
                + " shared expert 0 B, and 12.5 MiB for an expert of each of 2 task slots");
  }

  @ParameterizedTest
  @EnumSource(DispatchMode.class)
  void anExplicitModeIsRefusedWhereItsWeightsDoNotFit(DispatchMode mode) {
    assertThatThrownBy(
            () -> plan(WORK, Plans.cluster(2, 8, MIB), Optional.of(mode), OptionalInt.empty()))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("with --dispatch " + mode.option())
        .hasMessageContaining("1.00 MiB")
        .hasMessageContaining("spark.executor.memoryOverhead");
  }

  @Test
  void lanesWithoutEffectAreMentioned() {
    assertThat(
            plan(WORK, Plans.local(2), Optional.of(DispatchMode.REPLICATED), OptionalInt.of(2))
                .reason())
        .isEqualTo("asked for with --dispatch replicated; --lanes has no effect on it");
  }

  @ParameterizedTest
  @EnumSource(DispatchMode.class)
  void anExplicitModeIsHonoured(DispatchMode mode) {
    for (ClusterFacts cluster :
        new ClusterFacts[] {Plans.local(2), Plans.cluster(8, 16), Plans.cluster(2, 8, 100 * MIB)}) {
      DispatchPlan plan = plan(WORK, cluster, Optional.of(mode), OptionalInt.empty());

      assertThat(plan.chosen().mode()).isEqualTo(mode);
      assertThat(plan.reason()).isEqualTo("asked for with --dispatch " + mode.option());
      assertThat(plan.candidates()).hasSize(2).contains(plan.chosen());
    }
  }

  @ParameterizedTest
  @CsvSource({"1,2", "2,4", "4,8", "5,8", "1000000000,8"})
  void twoLanesPerSlotButOneExpertEach(int slots, int lanes) {
    DispatchPlan plan =
        plan(WORK, Plans.cluster(1, slots), Optional.of(DispatchMode.EP), OptionalInt.empty());

    assertThat(plan.lanes()).hasValue(lanes);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3, 8})
  void lanesAskedForAreTaken(int lanes) {
    DispatchPlan plan =
        plan(WORK, Plans.local(2), Optional.of(DispatchMode.EP), OptionalInt.of(lanes));

    assertThat(plan.lanes()).hasValue(lanes);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, -1, 9, Integer.MAX_VALUE, Integer.MIN_VALUE})
  void refusesLanesWithoutExperts(int lanes) {
    assertThatThrownBy(() -> plan(WORK, Plans.local(2), Optional.empty(), OptionalInt.of(lanes)))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("--lanes " + lanes)
        .hasMessageContaining("1 to 8");
  }
}
