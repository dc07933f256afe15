package org.sparkmoe.job.run;

import org.sparkmoe.job.pipeline.LayerPipeline;
import org.sparkmoe.job.plan.DispatchMode;
import org.sparkmoe.job.plan.JobPlan;
import org.sparkmoe.job.plan.UnitPlan;
import org.sparkmoe.job.resume.RunState;
import org.sparkmoe.udfs.gating.RouteTally;
import org.sparkmoe.udfs.plan.LayerPlan;

/**
 * All that units need.
 *
 * @param state the decisions, as they are kept
 * @param routed what is known of the tokens
 * @param tally the same counts
 * @param plan of the job
 * @param pipeline over all tokens
 * @param layer what tasks get
 * @param input where it is cut
 */
record Prepared(
    RunState state,
    Routed routed,
    RouteTally tally,
    JobPlan plan,
    LayerPipeline pipeline,
    LayerPlan layer,
    CutInput input) {

  UnitPlan units() {
    return new UnitPlan(state.units(), state.splits().partitions());
  }

  boolean isReplicated() {
    return plan.dispatch().chosen().mode() == DispatchMode.REPLICATED;
  }
}
