package org.sparkmoe.job.run;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.OptionalInt;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.tokens.DataFile;
import org.sparkmoe.datasets.tokens.DataFiles;
import org.sparkmoe.job.pipeline.DuplicateIds;
import org.sparkmoe.job.pipeline.LayerPipeline;
import org.sparkmoe.job.plan.JobPlan;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.plan.Planner;
import org.sparkmoe.job.plan.UnitPlan;
import org.sparkmoe.job.resume.Fingerprint;
import org.sparkmoe.job.resume.RunState;
import org.sparkmoe.job.resume.UnfinishedRun;
import org.sparkmoe.kernels.permute.ExpertPlacement;
import org.sparkmoe.kernels.quant.LayerPeaks;
import org.sparkmoe.udfs.gating.RouteTally;
import org.sparkmoe.udfs.plan.LayerPlan;

/**
 * The steps before the units: route all tokens, decide, and where a scale is for the intermediates
 * of all tokens, measure them. They run once; a driver that goes on reads what they came to.
 */
final class Preparation {
  private final RunContext run;
  private final Planner planner;

  Preparation(RunContext run) {
    this.run = run;
    this.planner = run.planner();
  }

  /** Runs the steps, and keeps what they came to. */
  Prepared afresh() {
    long started = System.nanoTime();
    // Before the first read: a change after it is found by a driver that goes on.
    List<DataFile> files =
        DataFiles.of(
            run.table().path(),
            run.table().format(),
            run.spark().sparkContext().hadoopConfiguration());
    run.monitor().expect(run.title("route"), Stage.ROUTE);
    long[] duplicates = run.table().uniqueIds() ? new long[0] : DuplicateIds.of(run.table().rows());
    LayerPipeline pipeline = LayerPipeline.of(planner, run.table(), duplicates);
    RoutingPass routing = RoutingPass.run(run, pipeline);
    RouteTally tally = routing.tally();

    // Executors register while the first tasks wait: only now is the cluster as large as it gets.
    CutInput input = CutInput.of(run.spark(), pipeline.rows());
    JobPlan plan =
        planner.plan(tally.rows(), input.splits().partitions(), pipeline.format().dtype());
    ExpertPlacement placement = placement(plan, tally);
    LayerPeaks peaks = routing.inputs().max(inner(pipeline, plan, placement, routing.inputs()));
    Routed routed =
        Routed.of(
            duplicates,
            tally,
            routing.commonestReason(),
            routing.routes().rows(),
            peaks,
            run.monitor().take(),
            (System.nanoTime() - started) / 1e9);
    RunState state =
        new RunState(
            RunState.FORMAT,
            Fingerprint.of(planner.request(), planner.layer(), files),
            files,
            chosen(plan),
            UnitPlan.of(plan).units(),
            input.splits());
    keep(routed, state);
    return new Prepared(
        state, routed, tally, plan, pipeline, layer(pipeline, placement, peaks), input);
  }

  /**
   * Reads what the steps came to.
   *
   * @throws InputException where it is damaged, or the input is cut in other places now
   */
  Prepared restored(RunState state) {
    Routed routed =
        run.directory()
            .state()
            .read(Routed.FILE, Routed.class)
            .orElseThrow(
                () ->
                    new InputException(
                        "the unfinished run in %s has no %s; remove it, or run without --resume"
                            .formatted(run.directory().unfinished().orElseThrow(), Routed.FILE)));
    LayerPipeline pipeline =
        LayerPipeline.of(planner, run.table(), Routed.plain(routed.duplicates()));
    CutInput input = CutInput.of(run.spark(), pipeline.rows(), state.splits().settings());
    if (state.units() > 1 && !input.splits().equals(state.splits())) {
      throw new InputException(
          "the input is cut into %d partitions, the unfinished run in %s had %d in other places; run without --resume"
              .formatted(
                  input.splits().partitions(),
                  run.directory().unfinished().orElseThrow(),
                  state.splits().partitions()));
    }
    RouteTally tally = routed.tally();
    JobPlan plan =
        planner
            .plan(tally.rows(), state.splits().partitions(), pipeline.format().dtype())
            .because("as the run was started");
    return new Prepared(
        state,
        routed,
        tally,
        plan,
        pipeline,
        layer(pipeline, placement(plan, tally), routed.peaks()),
        input);
  }

  private void keep(Routed routed, RunState state) {
    try {
      run.directory().state().write(Routed.FILE, routed);
      run.directory().state().write(UnfinishedRun.STATE, state);
      run.directory().keep();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Fingerprint.Chosen chosen(JobPlan plan) {
    JobRequest request = plan.request();
    return new Fingerprint.Chosen(
        plan.backend().backend().option(),
        plan.dispatch().chosen().mode().option(),
        plan.dispatch().lanes().orElse(0),
        request.units().tokens().orElse(0));
  }

  private ExpertPlacement placement(JobPlan plan, RouteTally tally) {
    OptionalInt lanes = plan.dispatch().lanes();
    return lanes.isPresent()
        ? planner.placement(lanes.getAsInt(), tally.loads())
        : planner.oneLane();
  }

  /** What the intermediates come to, where a scale for all of them is needed. */
  private LayerPeaks inner(
      LayerPipeline pipeline, JobPlan plan, ExpertPlacement placement, LayerPeaks inputs) {
    if (planner.schemes().needsInnerPeaks()) {
      run.monitor().expect(run.title("measure intermediates"), Stage.MEASURE);
    }
    return pipeline.intermediates(plan.dispatch().chosen().mode(), placement, inputs);
  }

  private LayerPlan layer(LayerPipeline pipeline, ExpertPlacement placement, LayerPeaks peaks) {
    return pipeline.plan(placement, planner.schemes().codecs(peaks));
  }
}
