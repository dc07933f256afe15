package org.sparkmoe.job.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.datasets.InputException;

final class DispatchPlannerTest {
  private static final long MIB = 1 << 20;
  private static final Workload WORK = Plans.work(100 * MIB);

  private static DispatchPlan auto(Workload work, ClusterFacts cluster) {
    return DispatchPlanner.plan(work, cluster, Optional.empty(), OptionalInt.empty());
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

  @ParameterizedTest
  @EnumSource(DispatchMode.class)
  void anExplicitModeIsRefusedWhereItsWeightsDoNotFit(DispatchMode mode) {
    assertThatThrownBy(
            () ->
                DispatchPlanner.plan(
                    WORK, Plans.cluster(2, 8, MIB), Optional.of(mode), OptionalInt.empty()))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("with --dispatch " + mode.option())
        .hasMessageContaining("1.00 MiB")
        .hasMessageContaining("spark.executor.memoryOverhead");
  }

  @Test
  void lanesWithoutEffectAreMentioned() {
    assertThat(
            DispatchPlanner.plan(
                    WORK, Plans.local(2), Optional.of(DispatchMode.REPLICATED), OptionalInt.of(2))
                .reason())
        .isEqualTo("asked for with --dispatch replicated; --lanes has no effect on it");
  }

  @ParameterizedTest
  @EnumSource(DispatchMode.class)
  void anExplicitModeIsHonoured(DispatchMode mode) {
    for (ClusterFacts cluster :
        new ClusterFacts[] {Plans.local(2), Plans.cluster(8, 16), Plans.cluster(2, 8, 100 * MIB)}) {
      DispatchPlan plan =
          DispatchPlanner.plan(WORK, cluster, Optional.of(mode), OptionalInt.empty());

      assertThat(plan.chosen().mode()).isEqualTo(mode);
      assertThat(plan.reason()).isEqualTo("asked for with --dispatch " + mode.option());
      assertThat(plan.candidates()).hasSize(2).contains(plan.chosen());
    }
  }

  @ParameterizedTest
  @CsvSource({"1,2", "2,4", "4,8", "5,8", "1000000000,8"})
  void twoLanesPerSlotButOneExpertEach(int slots, int lanes) {
    DispatchPlan plan =
        DispatchPlanner.plan(
            WORK, Plans.cluster(1, slots), Optional.of(DispatchMode.EP), OptionalInt.empty());

    assertThat(plan.lanes()).hasValue(lanes);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3, 8})
  void lanesAskedForAreTaken(int lanes) {
    DispatchPlan plan =
        DispatchPlanner.plan(
            WORK, Plans.local(2), Optional.of(DispatchMode.EP), OptionalInt.of(lanes));

    assertThat(plan.lanes()).hasValue(lanes);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, -1, 9, Integer.MAX_VALUE, Integer.MIN_VALUE})
  void refusesLanesWithoutExperts(int lanes) {
    assertThatThrownBy(
            () ->
                DispatchPlanner.plan(WORK, Plans.local(2), Optional.empty(), OptionalInt.of(lanes)))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("--lanes " + lanes)
        .hasMessageContaining("1 to 8");
  }
}
