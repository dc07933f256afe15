package org.sparkmoe.job.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.OptionalLong;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sparkmoe.udfs.plan.Reduction;

/** The sums, worked out by hand. */
final class CostModelTest {
  private static final Offset<Double> EXACT = within(1e-12);
  private static final long GB = 1_000_000_000;

  private static Cost replicated(Workload work, ClusterFacts cluster) {
    return CostModel.replicated(work, cluster, Plans.memory(work, cluster));
  }

  private static Cost ep(Workload work, ClusterFacts cluster, int lanes) {
    return CostModel.ep(work, cluster, Plans.memory(work, cluster), lanes);
  }

  @Test
  void aStoreTooSmallPacksEveryBatchAgain() {
    Workload work = Plans.work(GB);
    ClusterFacts cluster = Plans.cluster(2, 4);
    ExecutorMemory half = Plans.memory(work, cluster, OptionalLong.of(GB / 2));

    Cost replicated = CostModel.replicated(work, cluster, half);
    // 10 batches on 2 executors: loaded once, packed again 4 times
    assertThat(replicated.repacks()).isCloseTo(4, EXACT);
    assertThat(replicated.loadSeconds()).isCloseTo(5, EXACT);
    // 4 lanes of 2 experts, 2 at a time: they fit, and a lane is computed once
    assertThat(CostModel.ep(work, cluster, half, 4).repacks()).isZero();
    // 2 lanes of 4 experts: 2 × 4 do not; a lane gets 1000 · 1.5 / 2 tokens, 100 at a time
    assertThat(CostModel.ep(work, cluster, half, 2).repacks()).isCloseTo(6.5, EXACT);
    assertThat(CostModel.ep(work, cluster, half, 2).loadSeconds()).isCloseTo(7.5 / 2, EXACT);
  }

  @Test
  void replicatedLoadsAllAndStreamsItPerBatch() {
    Cost cost = replicated(Plans.work(GB), Plans.cluster(2, 8));

    assertThat(cost.mode()).isEqualTo(DispatchMode.REPLICATED);
    assertThat(cost.lanes()).isZero();
    assertThat(cost.weightBytes()).isEqualTo(GB);
    assertThat(cost.loadSeconds()).isCloseTo(1, EXACT);
    assertThat(cost.dispatchBytes()).isZero();
    assertThat(cost.combineBytes()).isZero();
    assertThat(cost.shuffleSeconds()).isZero();
    // 10 batches of 1 GB at 10 GB/s on each of 2 executors
    assertThat(cost.streamSeconds()).isCloseTo(0.5, EXACT);
    // 1000 tokens × 2 experts × 60 operations on 4 busy slots: there are 4 partitions
    assertThat(cost.computeSeconds()).isCloseTo(120_000 / 2e11, EXACT);
    assertThat(cost.seconds()).isCloseTo(1.5, EXACT);
  }

  @Test
  void expertParallelLoadsAShareAndShuffles() {
    Cost cost = ep(Plans.work(GB), Plans.cluster(2, 8), 4);

    assertThat(cost.mode()).isEqualTo(DispatchMode.EP);
    assertThat(cost.lanes()).isEqualTo(4);
    assertThat(cost.weightBytes()).isEqualTo(GB / 2);
    assertThat(cost.loadSeconds()).isCloseTo(0.5, EXACT);
    // a token goes to 4·(1 − (3/4)²) = 1.75 lanes with 40 + 13 bytes, its two slots take 13 each
    assertThat(cost.dispatchBytes()).isEqualTo(1000 * (175 * 53 + 2600) / 100);
    // and each of them sums what it has for it
    assertThat(cost.combineBytes()).isEqualTo(1000 * 175 * 10 * 4 / 100);
    assertThat(cost.shuffleSeconds()).isCloseTo((118_750 + 70_000) / 5e8, EXACT);
    assertThat(cost.streamSeconds()).isCloseTo(0.5, EXACT);
    assertThat(cost.computeSeconds()).isCloseTo(120_000 / 2e11, EXACT);
    assertThat(cost.seconds()).isCloseTo(1 + 188_750 / 5e8, EXACT);
  }

  @Test
  void aSharedExpertReturnsOneVectorMore() {
    Cost cost = ep(Plans.withShared(Plans.work(GB)), Plans.cluster(2, 8), 4);

    assertThat(cost.combineBytes()).isEqualTo(1000 * 275 * 10 * 4 / 100);
  }

  @Test
  void quantizedTokensTakeFewerBytesAndMaybeAVectorMore() {
    Workload codes = Plans.with(Plans.work(GB), new TokenBytes(11, 0, 40, 0), 1);
    Workload home = Plans.with(Plans.work(GB), new TokenBytes(11, 40, 40, 0), 1);

    assertThat(ep(codes, Plans.cluster(2, 8), 4).dispatchBytes())
        .isEqualTo(1000 * (175 * 24 + 2600) / 100);
    assertThat(ep(home, Plans.cluster(2, 8), 4).dispatchBytes())
        .isEqualTo(1000 * (175 * 24 + 2600) / 100 + 40_000);
  }

  @Test
  void measuringFirstCostsAllButTheReturnTwice() {
    Workload once = Plans.work(GB);
    Workload twice = Plans.with(once, once.token(), 2);
    Cost one = ep(once, Plans.cluster(2, 8), 4);
    Cost two = ep(twice, Plans.cluster(2, 8), 4);

    assertThat(two.dispatchBytes()).isEqualTo(2 * one.dispatchBytes());
    assertThat(two.combineBytes()).isEqualTo(one.combineBytes());
    assertThat(two.loadSeconds()).isCloseTo(2 * one.loadSeconds(), EXACT);
    assertThat(two.streamSeconds()).isCloseTo(2 * one.streamSeconds(), EXACT);
    assertThat(two.computeSeconds()).isCloseTo(2 * one.computeSeconds(), EXACT);
    assertThat(replicated(twice, Plans.cluster(2, 8)).seconds())
        .isCloseTo(2 * replicated(once, Plans.cluster(2, 8)).seconds(), EXACT);
  }

  @Test
  void aLaneIsNotSplitOverExecutors() {
    assertThat(ep(Plans.work(GB), Plans.cluster(4, 8), 1).weightBytes()).isEqualTo(GB);
    assertThat(ep(Plans.work(GB), Plans.cluster(4, 8), 2).weightBytes()).isEqualTo(GB / 2);
    assertThat(ep(Plans.work(GB), Plans.cluster(4, 8), 8).weightBytes()).isEqualTo(GB / 4);
  }

  @Test
  void everyPartitionStreamsTheWeightsOnceWhereReplicated() {
    Workload many = Plans.withTokens(Plans.work(GB), 1000, 40);

    assertThat(replicated(many, Plans.cluster(1, 8)).streamSeconds()).isCloseTo(4, EXACT);
    assertThat(ep(many, Plans.cluster(1, 8), 8).streamSeconds()).isCloseTo(1, EXACT);
  }

  @Test
  void computingHidesStreaming() {
    Cost cost = new Cost(DispatchMode.EP, 1, 0, 0, 1, 0, 0, 2, 5, 7);

    assertThat(cost.seconds()).isEqualTo(1.0 + 2 + 7);
  }

  @Test
  void noTokensCostTheLoading() {
    Workload none = Plans.withTokens(Plans.work(GB), 0, 1);

    assertThat(replicated(none, Plans.local(2)).seconds()).isCloseTo(1.1, EXACT);
    assertThat(ep(none, Plans.local(2), 4).seconds()).isCloseTo(1.1, EXACT);
  }

  @Test
  void trillionsOfTokensDoNotOverflow() {
    TokenBytes token = new TokenBytes(14_336, 28_672, 28_672, 0);
    Workload huge =
        new Workload(
            1_000_000_000_000L,
            100_000,
            7168,
            8,
            256,
            true,
            22 * GB,
            9e7,
            token,
            2,
            8192,
            Reduction.EXPERT_ORDER,
            false);

    Cost cost = ep(huge, Plans.cluster(64, 512), 256);

    assertThat(cost.combineBytes()).isEqualTo(1_000_000_000_000L * 9 * 7168 * 4);
    assertThat(cost.dispatchBytes()).isPositive();
    assertThat(cost.computeSeconds()).isPositive();
  }

  /** 3 lanes of 8 experts hold 0 to 2, 3 to 5 and 6 to 7: subtrees of 2, 1, 1, 2 and 2. */
  @ParameterizedTest
  @CsvSource({
    "8,1,2,1",
    "8,2,2,1.5",
    "8,4,2,1.75",
    "8,3,1,1",
    "8,3,2,1.78125",
    "64,64,3,2.9534",
    "5,5,9,4.3289"
  })
  void subtreesOfUniformChoices(int experts, int lanes, int k, double expected) {
    assertThat(CostModel.subtrees(experts, lanes, k)).isCloseTo(expected, within(1e-3));
  }

  @ParameterizedTest
  @CsvSource({"1,1,1", "1,8,1", "2,1,1", "2,2,1.5", "4,2,1.75", "10,1,1"})
  void distinctLanesOfUniformChoices(int lanes, int k, double expected) {
    assertThat(CostModel.distinctLanes(lanes, k)).isCloseTo(expected, EXACT);
  }
}
