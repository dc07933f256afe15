package org.sparkmoe.job.run;

import java.util.Optional;
import org.sparkmoe.job.pipeline.LayerPipeline;
import org.sparkmoe.job.pipeline.Measuring;
import org.sparkmoe.kernels.quant.LayerPeaks;
import org.sparkmoe.udfs.gating.RouteTally;
import org.sparkmoe.udfs.peaks.ActivationPeaks;

/**
 * The first pass: writes the tables {@code routes} and {@code errors}, counts, and measures the
 * inputs where a scale for all of them is needed.
 *
 * @param tally rows and loads of experts
 * @param routes the table that was written
 * @param commonestReason why most of the rows could not be scored that could not, for people
 * @param inputs what the inputs come to
 */
record RoutingPass(
    RouteTally tally, CountedTable routes, Optional<String> commonestReason, LayerPeaks inputs) {

  static RoutingPass run(RunContext run, LayerPipeline pipeline) {
    RouteTally tally = new RouteTally(run.planner().layer().spec().experts());
    run.spark().sparkContext().register(tally, "routes by expert");
    ActivationPeaks peaks = Measuring.registered(run.spark().sparkContext());
    CountedTable routes =
        CountedTable.write(pipeline.routes(tally, peaks), run.directory().table("routes"));
    run.monitor().expect(run.title("errors"), Stage.TABLES);
    ErrorTable errors = ErrorTable.write(pipeline, tally.errors(), run.directory().table("errors"));
    return new RoutingPass(tally, routes, errors.commonestReason(), peaks.value());
  }
}
