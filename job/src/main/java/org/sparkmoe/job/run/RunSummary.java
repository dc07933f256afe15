package org.sparkmoe.job.run;

import java.util.List;
import java.util.Optional;
import org.sparkmoe.job.plan.JobPlan;
import org.sparkmoe.job.plan.LaneBalance;
import org.sparkmoe.kernels.quant.LayerCodecs;

/**
 * What a run did.
 *
 * @param output run folder
 * @param plan as it ran
 * @param balance of the lanes, where there are any
 * @param codecs with the scales that it ran with
 * @param rows rows read
 * @param errors rows that could not be scored
 * @param commonestReason why most of them could not, for people
 * @param routes rows of {@code routes/}
 * @param sent how often all tokens together were sent to a lane; 0 where replicated
 * @param units what its units did, in order
 * @param attempts drivers that worked on it
 * @param stages time and bytes by step
 * @param seconds from the first read to the commit
 */
public record RunSummary(
    String output,
    JobPlan plan,
    Optional<LaneBalance> balance,
    LayerCodecs codecs,
    long rows,
    long errors,
    Optional<String> commonestReason,
    long routes,
    long sent,
    List<FinishedUnit> units,
    int attempts,
    List<StageFigures> stages,
    double seconds) {

  /** Rows that were scored. */
  public long tokens() {
    return rows - errors;
  }

  /** Bytes written to dispatch, as compressed by Spark; 0 where replicated. */
  public long dispatchBytes() {
    return stages.stream()
        .filter(figures -> figures.stage() == Stage.DISPATCH)
        .mapToLong(StageFigures::shuffleBytes)
        .sum();
  }

  /** What {@link #dispatchBytes} would be of vectors in f32. */
  public long dispatchBytesInF32() {
    return plan.work().token().inF32(dispatchBytes(), tokens(), sent);
  }

  /** Bytes written to shuffles, all steps together, as compressed by Spark. */
  public long shuffleBytes() {
    return stages.stream().mapToLong(StageFigures::shuffleBytes).sum();
  }
}
