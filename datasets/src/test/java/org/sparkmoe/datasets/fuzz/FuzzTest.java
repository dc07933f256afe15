package org.sparkmoe.datasets.fuzz;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.sparkmoe.datasets.InputException;

/**
 * Damaged files of every kind are read, or refused in one line; nothing else is thrown, no memory
 * is taken because a number in a file asks for it, no other file is touched, and it ends. The
 * number of cases of each target and the seed can be set: {@code -Dcases=1000000 -Dseed=7}.
 */
final class FuzzTest {
  private static final int CASES = Integer.getInteger("cases", 1_000);
  private static final long SEED = Long.getLong("seed", 20_261_124L);

  /** Heap that one case may allocate, live or not, beside a multiple of its file. */
  private static final long ALLOWANCE = 64 << 20;

  private static final int TIMES_FILE = 100;
  private static final long HANGS_AFTER_MS = 60_000;

  private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

  @TempDir private Path scratch;

  @ParameterizedTest
  @EnumSource
  void readsOrRefuses(FuzzTarget target) throws IOException, InterruptedException {
    List<byte[]> corpus = target.load(scratch);
    for (byte[] whole : corpus) {
      String message = refusal(target, whole);
      if (target.readsWholeFiles()) {
        assertThat(message).isEmpty();
      }
    }
    AtomicReference<Case> current = new AtomicReference<>();
    AtomicReference<Throwable> failed = new AtomicReference<>();
    int[] refused = new int[1];
    Thread worker =
        Thread.ofPlatform()
            .name("fuzz " + target)
            .start(
                () -> {
                  try {
                    for (int i = 0; i < CASES; i++) {
                      Case made = Case.of(target, i, corpus);
                      current.set(made);
                      refused[0] += attack(target, made) ? 1 : 0;
                    }
                  } catch (Throwable e) {
                    failed.set(e);
                  }
                });
    int before = -1;
    while (!worker.join(java.time.Duration.ofMillis(HANGS_AFTER_MS))) {
      Case now = current.get();
      if (now.number() == before) {
        fail("%s hangs in %s", now, Arrays.toString(worker.getStackTrace()));
      }
      before = now.number();
    }
    if (failed.get() != null) {
      throw new AssertionError(target + ", " + current.get(), failed.get());
    }
    int most = target.readsWholeFiles() ? CASES - CASES / 100 : CASES;
    assertThat(refused[0]).as("refused of %d", CASES).isBetween(CASES / 20, most);
  }

  /** A damaged file. */
  private record Case(int number, long seed, byte[] bytes) {
    static Case of(FuzzTarget target, int number, List<byte[]> corpus) {
      long seed = SEED * 1_000_003 + target.name().hashCode() * 31L + number;
      Mutator mutator = new Mutator(seed);
      byte[] whole = corpus.get(mutator.below(corpus.size()));
      return new Case(number, seed, target.damaged(whole, mutator, corpus));
    }

    /** With what is needed to see it again. */
    @Override
    public String toString() {
      byte[] shown = Arrays.copyOf(bytes, Math.min(bytes.length, 3_000));
      return "seed %d, %d bytes, base64 of the first: %s"
          .formatted(seed, bytes.length, Base64.getEncoder().encodeToString(shown));
    }
  }

  /** Whether the case was refused. */
  private static boolean attack(FuzzTarget target, Case made) throws IOException {
    long before = THREADS.getCurrentThreadAllocatedBytes();
    String message = refusal(target, made.bytes());
    long taken = THREADS.getCurrentThreadAllocatedBytes() - before;
    if (taken > ALLOWANCE + (long) TIMES_FILE * made.bytes().length) {
      throw new AssertionError("allocated %,d bytes".formatted(taken));
    }
    if (target.held() != 0) {
      throw new AssertionError("%,d bytes are still held".formatted(target.held()));
    }
    if (message.lines().count() > 1 || message.length() > 3_000) {
      throw new AssertionError("no line of a message: " + message);
    }
    return !message.isEmpty();
  }

  private static String refusal(FuzzTarget target, byte[] bytes) throws IOException {
    try {
      target.read(bytes);
      return "";
    } catch (InputException e) {
      return e.getMessage();
    }
  }
}
