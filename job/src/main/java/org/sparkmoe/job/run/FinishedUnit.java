package org.sparkmoe.job.run;

import java.util.List;
import java.util.Locale;

/**
 * A unit whose outputs are written.
 *
 * @param unit counted from 0
 * @param first its first partition of the input
 * @param end the partition after its last
 * @param rows that it wrote
 * @param errors of them that could not be scored
 * @param sent how often its tokens were sent to a lane; 0 where replicated
 * @param kernelNanos time in kernels by expert
 * @param files of its outputs, in order
 * @param figures of its steps
 * @param seconds that it took
 * @param attempt the driver that computed it, counted from 1
 */
public record FinishedUnit(
    int unit,
    int first,
    int end,
    long rows,
    long errors,
    long sent,
    List<Long> kernelNanos,
    List<Part> files,
    List<StageFigures> figures,
    double seconds,
    int attempt) {

  /**
   * A file of outputs.
   *
   * @param name in the unit's folder
   * @param bytes its length
   */
  public record Part(String name, long bytes) {}

  /** The file that it is kept in. */
  static String file(int unit) {
    return String.format(Locale.ROOT, "unit-%05d.json", unit);
  }
}
