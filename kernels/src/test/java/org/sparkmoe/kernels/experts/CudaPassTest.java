package org.sparkmoe.kernels.experts;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.IntFunction;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.sparkmoe.kernels.combine.WeightAndReduce;
import org.sparkmoe.kernels.cuda.FakeGpu;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.store.ExpertStore;
import org.sparkmoe.kernels.store.StoredExperts;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;
import org.sparkmoe.kernels.testing.RandomTensors;

/**
 * Which experts run together, and which are fetched meanwhile, over a GPU that computes nothing.
 */
final class CudaPassTest {
  private static final int EXPERTS = 8;
  private static final int HIDDEN = 64;

  private final FakeGpu fake = new FakeGpu();
  private final CudaExpertKernel kernel = new CudaExpertKernel(fake.gpu());
  private final ExpertWeights weights =
      new RandomTensors(113).expert(HIDDEN, 64, true, false, DType.BF16);
  private final long bytes = kernel.preparedBytes(DType.BF16, DType.BF16, HIDDEN, 64, true);

  @AfterEach
  void close() {
    fake.close();
  }

  /** A bank that knows how many leases are out, also when an expert is packed. */
  private final class WatchedBank implements ExpertBank, AutoCloseable {
    private final StoredExperts stored;
    private final List<Integer> packed = new ArrayList<>();
    private final List<Integer> onLoanWhenPacked = new ArrayList<>();
    private int onLoan;

    WatchedBank(ExpertStore store) {
      this.stored =
          store.open(
              EXPERTS,
              (id, room) -> {
                packed.add(id);
                onLoanWhenPacked.add(onLoan);
                return kernel.prepare(
                    weights,
                    Activation.SILU,
                    ActivationCodec.NONE,
                    ActivationCodec.NONE,
                    room.reserve(bytes));
              });
    }

    private ExpertLease watched(ExpertLease lease) {
      onLoan++;
      return new ExpertLease() {
        @Override
        public PreparedExpert expert() {
          return lease.expert();
        }

        @Override
        public void close() {
          onLoan--;
          lease.close();
        }
      };
    }

    private Optional<ExpertLease> watched(int id, IntFunction<Optional<ExpertLease>> from) {
      return from.apply(id).map(this::watched);
    }

    @Override
    public ExpertLease acquire(int id) {
      assertThat(onLoan).as("nothing is on loan while one waits").isZero();
      return watched(stored.acquire(id));
    }

    @Override
    public Optional<ExpertLease> acquireIfReady(int id) {
      return watched(id, stored::acquireIfReady);
    }

    @Override
    public Optional<ExpertLease> acquireIfRoom(int id) {
      return watched(id, stored::acquireIfRoom);
    }

    @Override
    public int capacity() {
      return stored.capacity();
    }

    @Override
    public void close() {
      stored.close();
    }
  }

  /** Rows that the clock was told of, by expert, after one pass over {@code tokens} of 8 each. */
  private int[] run(ExpertBank bank, int tokens) {
    int[] told = new int[EXPERTS];
    int[] ids = new int[tokens * EXPERTS];
    Arrays.setAll(ids, i -> i % EXPERTS);
    float[] x = new float[tokens * HIDDEN];
    FusedExperts.standard(
            kernel,
            WeightAndReduce.NO_OP,
            (expert, rows, computed, nanos) -> told[expert] += rows,
            Team.SOLO)
        .apply(
            new DispatchedTokens.Standard(
                TokenRoutes.uniform(tokens, EXPERTS, ids, new float[ids.length]),
                HIDDEN,
                MemorySegment.ofArray(x)),
            ExpertMap.all(EXPERTS),
            bank,
            Workspace.ofBytes(0),
            MemorySegment.ofArray(new float[x.length]));
    return told;
  }

  private void countEvenly(int rows) {
    int[] totals = new int[EXPERTS];
    Arrays.fill(totals, rows);
    fake.count(totals);
  }

  @Test
  void expertsThatAreThereRunTogether() {
    countEvenly(10);
    try (WatchedBank bank = new WatchedBank(ExpertStore.ofBytes(EXPERTS * bytes))) {
      run(bank, 10);
      long before = fake.products();
      assertThat(run(bank, 10)).containsOnly(10);
      assertThat(fake.products() - before).isEqualTo(2);
      assertThat(bank.packed).hasSize(EXPERTS);
    }
  }

  @Test
  void theNextExpertsArriveWhileOthersAreComputed() {
    countEvenly(10);
    ExpertStore store = ExpertStore.ofBytes(3 * bytes);
    try (WatchedBank bank = new WatchedBank(store)) {
      assertThat(run(bank, 10)).containsOnly(10);
      assertThat(bank.packed).containsExactlyInAnyOrder(0, 1, 2, 3, 4, 5, 6, 7);
      assertThat(bank.onLoanWhenPacked.stream().filter(loans -> loans > 0).count())
          .as("packed while others were computed")
          .isGreaterThanOrEqualTo(EXPERTS - 2);
      bank.packed.clear();
      assertThat(run(bank, 10)).containsOnly(10);
      assertThat(bank.packed).as("those that were there ran first").hasSize(EXPERTS - 3);
      assertThat(bank.onLoan).isZero();
    }
    assertThat(store.statistics().peakBytes()).isLessThanOrEqualTo(3 * bytes);
  }

  @Test
  void roomForOneIsEnough() {
    countEvenly(10);
    ExpertStore store = ExpertStore.ofBytes(bytes);
    try (WatchedBank bank = new WatchedBank(store)) {
      assertThat(run(bank, 10)).containsOnly(10);
      assertThat(run(bank, 10)).containsOnly(10);
      assertThat(bank.onLoan).isZero();
    }
    assertThat(store.statistics().peakBytes()).isLessThanOrEqualTo(bytes);
  }

  /** Batches of the size that suits the bus: every expert that does not fit is fetched once. */
  @Test
  void batchesAreLargerWhereExpertsDoNotFit() {
    int tokens = 10_000;
    countEvenly(2_000);
    try (WatchedBank bank = new WatchedBank(ExpertStore.ofBytes(EXPERTS * bytes))) {
      assertThat(run(bank, tokens)).as("5 batches").containsOnly(5 * 2_000);
    }
    countEvenly(tokens);
    try (WatchedBank bank = new WatchedBank(ExpertStore.ofBytes(4 * bytes))) {
      assertThat(run(bank, tokens)).as("one batch").containsOnly(tokens);
      assertThat(bank.packed.size()).isLessThanOrEqualTo(EXPERTS);
    }
  }

  /** A sixth of 262,144 rows is no whole number of tokens. */
  @Test
  void noTokensAreLeftForAnotherBatch() {
    countEvenly(5_462);
    try (WatchedBank bank = new WatchedBank(ExpertStore.ofBytes(EXPERTS * bytes))) {
      assertThat(run(bank, 32_768)).as("6 batches").containsOnly(6 * 5_462);
    }
  }
}
