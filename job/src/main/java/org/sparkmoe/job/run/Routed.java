package org.sparkmoe.job.run;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.sparkmoe.kernels.quant.LayerPeaks;
import org.sparkmoe.udfs.gating.RouteTally;

/**
 * What the passes before the experts found out, kept for the driver that may have to go on.
 *
 * @param duplicates token ids that occur more than once, ascending
 * @param rows of the input
 * @param errors of them that cannot be scored
 * @param commonestReason why most of them cannot, for people; empty for none
 * @param routes rows of the {@code routes} table
 * @param loads tokens by expert
 * @param weightUnits sums of weights by expert, in the unit of {@link RouteTally}
 * @param peakBits largest magnitudes of {@link LayerPeaks} in the order of its components, as bits
 *     of floats
 * @param figures of the steps
 * @param seconds that it took
 */
record Routed(
    List<Long> duplicates,
    long rows,
    long errors,
    String commonestReason,
    long routes,
    List<Long> loads,
    List<Long> weightUnits,
    List<Integer> peakBits,
    List<StageFigures> figures,
    double seconds) {
  /** The file that it is kept in. */
  static final String FILE = "routed.json";

  static Routed of(
      long[] duplicates,
      RouteTally tally,
      Optional<String> commonestReason,
      long routes,
      LayerPeaks peaks,
      List<StageFigures> figures,
      double seconds) {
    return new Routed(
        boxed(duplicates),
        tally.rows(),
        tally.errors(),
        commonestReason.orElse(""),
        routes,
        boxed(tally.loads()),
        boxed(tally.weightUnits()),
        List.of(
            Float.floatToIntBits(peaks.input()),
            Float.floatToIntBits(peaks.inner()),
            Float.floatToIntBits(peaks.sharedInput()),
            Float.floatToIntBits(peaks.sharedInner())),
        figures,
        seconds);
  }

  RouteTally tally() {
    return RouteTally.of(rows, errors, plain(loads), plain(weightUnits));
  }

  LayerPeaks peaks() {
    return new LayerPeaks(peak(0), peak(1), peak(2), peak(3));
  }

  Optional<String> reason() {
    return commonestReason.isEmpty() ? Optional.empty() : Optional.of(commonestReason);
  }

  static List<Long> boxed(long[] values) {
    return Arrays.stream(values).boxed().toList();
  }

  static long[] plain(List<Long> values) {
    return values.stream().mapToLong(Long::longValue).toArray();
  }

  private float peak(int component) {
    return Float.intBitsToFloat(peakBits.get(component));
  }
}
