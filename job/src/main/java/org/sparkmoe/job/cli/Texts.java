package org.sparkmoe.job.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.OptionalLong;
import java.util.function.Function;
import org.sparkmoe.datasets.checkpoint.MoeLayer;
import org.sparkmoe.datasets.tokens.TokenTable;
import org.sparkmoe.job.plan.Amounts;
import org.sparkmoe.job.plan.Cost;
import org.sparkmoe.job.plan.DispatchMode;
import org.sparkmoe.job.plan.ExecutorMemory;
import org.sparkmoe.job.plan.JobPlan;
import org.sparkmoe.job.plan.LaneBalance;
import org.sparkmoe.job.plan.Planner;
import org.sparkmoe.job.plan.UnitPlan;
import org.sparkmoe.job.plan.Workload;
import org.sparkmoe.job.run.RunSummary;
import org.sparkmoe.job.run.StageFigures;
import org.sparkmoe.kernels.backend.Refusal;
import org.sparkmoe.kernels.tensor.DType;

/** What commands print, as lines. */
final class Texts {
  /** An example: partitions of 8 MiB have 4,096 tokens of 512 floats. */
  private static final String SMALLER_PARTITIONS = "--conf spark.sql.files.maxPartitionBytes=8m";

  private Texts() {}

  /** What is about to run. */
  static List<String> start(Planner planner, TokenTable table) {
    MoeLayer layer = planner.layer();
    List<String> lines = new ArrayList<>();
    lines.add(
        "layer    %d of %s (%s)".formatted(layer.index(), layer.checkpoint(), layer.family()));
    lines.add("         " + LayerTexts.shape(layer.spec()));
    lines.add("weights  " + QuantTexts.weights(layer));
    lines.addAll(activations(planner, table.encoding().dtype()));
    lines.add("tokens   %s, hidden %s".formatted(table.path(), table.encoding()));
    lines.add("backend  " + planner.backend().backend().option());
    planner.backend().backend().device().ifPresent(device -> lines.add("         on " + device));
    lines.addAll(GpuTexts.lines(planner));
    for (Refusal refusal : planner.backend().refusals()) {
      lines.add("         not " + refusal);
    }
    planner
        .backend()
        .backend()
        .bitsDependOn()
        .ifPresent(
            what ->
                lines.add(
                    "         last digits depend on %s: the same bytes only from executors of one kind"
                        .formatted(what)));
    lines.addAll(budget(planner.memory()));
    return lines;
  }

  private static List<String> activations(Planner planner, DType hidden) {
    boolean shared = planner.layer().spec().shared().isPresent();
    String used = QuantTexts.activations(planner.schemes(), shared);
    String asked = QuantTexts.activations(planner.layer().schemes(), shared);
    String instead =
        used.equals(asked) ? "" : " (--activation-quant none; the checkpoint: %s)".formatted(asked);
    return List.of(
        "         activations " + used + instead,
        "         " + QuantTexts.token(planner.tokenBytes(hidden)));
  }

  /** The plan with its sums. */
  static List<String> plan(JobPlan plan) {
    Workload work = plan.work();
    List<String> lines = new ArrayList<>();
    lines.add(
        "input    %s rows in %d partition%s; up to %s tokens at a time"
            .formatted(
                Amounts.count(work.tokens()),
                work.partitions(),
                work.partitions() == 1 ? "" : "s",
                Amounts.count(work.batchTokens())));
    lines.add(
        "cluster  %s: %d executor%s, %d task slots"
            .formatted(
                plan.cluster().master(),
                plan.cluster().executors(),
                plan.cluster().executors() == 1 ? "" : "s",
                plan.cluster().slots()));
    lines.add(units(plan));
    lines.add(weights(plan));
    lines.add("");
    lines.add("estimate              " + row(plan, cost -> name(cost)));
    lines.add("  load weights        " + row(plan, cost -> Amounts.seconds(cost.loadSeconds())));
    lines.add("  dispatch bytes      " + row(plan, cost -> Amounts.bytes(cost.dispatchBytes())));
    lines.add("  combine bytes       " + row(plan, cost -> Amounts.bytes(cost.combineBytes())));
    lines.add("  shuffles            " + row(plan, cost -> Amounts.seconds(cost.shuffleSeconds())));
    lines.add("  stream weights      " + row(plan, cost -> Amounts.seconds(cost.streamSeconds())));
    lines.add("  compute experts     " + row(plan, cost -> Amounts.seconds(cost.computeSeconds())));
    lines.add("  sum                 " + row(plan, cost -> Amounts.seconds(cost.seconds())));
    lines.add("  weights/executor    " + row(plan, cost -> Amounts.bytes(cost.weightBytes())));
    lines.add("  packed again        " + row(plan, cost -> times(cost.repacks())));
    lines.add("  (sum = load + shuffles + the larger of stream and compute)");
    lines.add("");
    lines.add(chosen(plan));
    if (plan.dispatch().chosen().mode() == DispatchMode.EP) {
      plan.request()
          .reduction()
          .bitsDependOn()
          .ifPresent(what -> lines.add("         last digits depend on " + what));
    }
    return lines;
  }

  /** How a run is cut; where units cannot be as small as asked for, what holds them back. */
  private static String units(JobPlan plan) {
    UnitPlan units = UnitPlan.of(plan);
    long tokens = plan.work().tokens();
    String line =
        units.units() == 1
            ? "units    1: an interrupted run repeats all but the routes"
            : "units    %d of about %s tokens: an interrupted run repeats at most one"
                .formatted(units.units(), Amounts.count(units.tokens(tokens)));
    return isCoarse(plan)
        ? line
            + "\n         asked for %s tokens; a unit is at least one of the input's %s: %s makes smaller ones"
                .formatted(
                    Amounts.count(plan.request().units().tokens().orElseThrow()),
                    units.partitions() == 1
                        ? "partitions, and it has one"
                        : units.partitions() + " partitions",
                    SMALLER_PARTITIONS)
        : line;
  }

  /** Whether units are larger than somebody wished. */
  private static boolean isCoarse(JobPlan plan) {
    OptionalLong wished = plan.request().units().tokens();
    return wished.isPresent()
        && UnitPlan.of(plan).units() < Math.ceilDiv(plan.work().tokens(), wished.getAsLong());
  }

  /** The dispatch that was chosen, and why. */
  static String chosen(JobPlan plan) {
    return "dispatch %s: %s".formatted(name(plan.dispatch().chosen()), plan.dispatch().reason());
  }

  /** How evenly the lanes are loaded. */
  static String lanes(LaneBalance balance) {
    return String.format(
        Locale.ROOT,
        "lanes    busiest %.2f x the mean (in equal ranges %.2f x), %d expert%s on several"
            + " lanes",
        balance.placed(),
        balance.linear(),
        balance.sharedExperts(),
        balance.sharedExperts() == 1 ? "" : "s");
  }

  /** What a run did. */
  static List<String> summary(RunSummary summary) {
    List<String> lines = new ArrayList<>();
    lines.add(chosen(summary.plan()));
    summary.balance().ifPresent(balance -> lines.add(lanes(balance)));
    if (isCoarse(summary.plan())) {
      lines.add(units(summary.plan()));
    }
    lines.addAll(QuantTexts.scales(summary.plan().schemes(), summary.codecs()));
    lines.add("");
    for (StageFigures stage : summary.stages()) {
      lines.add(stageLine(stage, summary.tokens()));
    }
    lines.add("");
    if (summary.sent() > 0 && summary.dispatchBytesInF32() != summary.dispatchBytes()) {
      lines.add(
          QuantTexts.dispatch(
              summary.tokens(),
              summary.sent(),
              summary.dispatchBytes(),
              summary.dispatchBytesInF32()));
    }
    lines.add(
        "%s tokens, %s routes, %s errors, %s shuffled in %s"
            .formatted(
                Amounts.count(summary.tokens()),
                Amounts.count(summary.routes()),
                Amounts.count(summary.errors()),
                Amounts.bytes(summary.shuffleBytes()),
                Amounts.seconds(summary.seconds())));
    if (summary.errors() > 0) {
      lines.add(
          "%s of %s rows could not be scored; most often: %s"
              .formatted(
                  Amounts.count(summary.errors()),
                  Amounts.count(summary.rows()),
                  summary.commonestReason().orElseThrow()));
      lines.add(
          "all of them with their reasons are in errors/ and in the error column of outputs/");
    }
    if (summary.units().size() > 1 || summary.attempts() > 1) {
      long own =
          summary.units().stream().filter(unit -> unit.attempt() == summary.attempts()).count();
      lines.add(
          "%d of %d unit%s computed now, in attempt %d"
              .formatted(
                  own,
                  summary.units().size(),
                  summary.units().size() == 1 ? "" : "s",
                  summary.attempts()));
    }
    lines.add("results  " + summary.output());
    return lines;
  }

  private static String stageLine(StageFigures stage, long tokens) {
    String line =
        String.format(
            Locale.ROOT,
            "%-9s%8s  %10s tokens/s  %3d tasks",
            stage.stage(),
            Amounts.seconds(stage.seconds()),
            Amounts.rate(tokens / Math.max(stage.seconds(), 1e-3)),
            stage.tasks());
    return stage.shuffleBytes() == 0
        ? line
        : line + "  " + Amounts.bytes(stage.shuffleBytes()) + " shuffled";
  }

  /** What an executor may hold beside its heap. */
  private static List<String> budget(ExecutorMemory memory) {
    String store =
        memory.asked().isPresent()
            ? "store of %s (--weight-memory)".formatted(Amounts.bytes(memory.store()))
            : "store as large as needed";
    String limit =
        memory.limit().isPresent()
            ? "budget %s".formatted(Amounts.bytes(memory.limit().getAsLong()))
            : "no limit that this cluster tells";
    return List.of(
        "memory   layer %s packed, %s".formatted(Amounts.bytes(memory.layer().whole()), store),
        "         buffers %s for %d task slot%s; %s, per executor beside its heap"
            .formatted(
                Amounts.bytes(memory.buffers()),
                memory.tasks(),
                memory.tasks() == 1 ? "" : "s",
                limit));
  }

  /** What the chosen dispatch makes of it. */
  private static String weights(JobPlan plan) {
    Cost chosen = plan.dispatch().chosen();
    String weights = Amounts.bytes(chosen.weightBytes()) + " per executor";
    if (chosen.repacks() == 0) {
      return "weights  %s (%s)".formatted(weights, name(chosen));
    }
    return "weights  %s (%s), store %s: experts are packed again about %s times"
        .formatted(
            weights,
            name(chosen),
            Amounts.bytes(plan.memory().store()),
            Amounts.count(Math.max(1, Math.round(chosen.repacks()))));
  }

  private static String times(double repacks) {
    return Amounts.rate(repacks) + " times";
  }

  private static String name(Cost cost) {
    return cost.mode() == DispatchMode.EP
        ? "ep, %d lane%s".formatted(cost.lanes(), cost.lanes() == 1 ? "" : "s")
        : "replicated";
  }

  private static String row(JobPlan plan, Function<Cost, String> value) {
    StringBuilder line = new StringBuilder();
    for (Cost cost : plan.dispatch().candidates()) {
      line.append(String.format(Locale.ROOT, "%16s", value.apply(cost)));
    }
    return line.toString();
  }
}
