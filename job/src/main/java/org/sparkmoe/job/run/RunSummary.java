package org.sparkmoe.job.run;

import java.util.List;
import java.util.Optional;
import org.sparkmoe.job.plan.JobPlan;
import org.sparkmoe.job.plan.LaneBalance;

/**
 * What a run did.
 *
 * @param output run folder
 * @param plan as it ran
 * @param balance of the lanes, where there are any
 * @param rows rows read
 * @param errors rows that could not be scored
 * @param commonestReason why most of them could not, for people
 * @param routes rows of {@code routes/}
 * @param stages time and bytes by step
 * @param seconds from the first read to the commit
 */
public record RunSummary(
    String output,
    JobPlan plan,
    Optional<LaneBalance> balance,
    long rows,
    long errors,
    Optional<String> commonestReason,
    long routes,
    List<StageFigures> stages,
    double seconds) {

  /** Rows that were scored. */
  public long tokens() {
    return rows - errors;
  }

  /** Bytes written to shuffles, all steps together, as compressed by Spark. */
  public long shuffleBytes() {
    return stages.stream().mapToLong(StageFigures::shuffleBytes).sum();
  }
}
