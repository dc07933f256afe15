package org.sparkmoe.job.cli;

import java.io.PrintWriter;
import java.util.List;
import java.util.concurrent.Callable;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.job.report.Reports;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code moe report}. */
@Command(
    name = "report",
    customSynopsis = {
      "moe report RUN [--output FILE]",
      "       moe report --compare RUN_A RUN_B [--output FILE]"
    },
    description = "Make the page of a run again, or of two runs side by side.",
    footer = {
      "",
      ExitCode.HELP,
      "",
      "  moe report run1",
      "  moe report --compare run-bf16 run-fp8 --output fp8.html",
    })
final class ReportCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;

  @Parameters(
      arity = "1..2",
      paramLabel = "RUN",
      description = "Folder of a run, or of the runs of several layers.")
  private List<String> runs;

  @Option(
      names = "--compare",
      order = 5,
      description = {
        "Set two runs, A and B, side by side: what they were made of, routes, speed, and how far"
            + " the outputs of B are from those of A.",
      })
  private boolean compare;

  @Option(
      names = "--output",
      order = 10,
      paramLabel = "FILE",
      description = {
        "Page to write; only a report is replaced. Default: report.html in RUN, or"
            + " compare-with-A.html in the second of two, A being the name of the first.",
      })
  private String output;

  @Override
  public Integer call() {
    if (runs.size() != (compare ? 2 : 1)) {
      throw new ParameterException(
          spec.commandLine(),
          compare
              ? "--compare takes two runs; give another beside " + runs.getFirst()
              : "a report is of one run, and %d are given; --compare sets two side by side"
                  .formatted(runs.size()));
    }
    PrintWriter out = spec.commandLine().getOut();
    try (Session session = Session.start("Spark MoE report")) {
      String file = output == null ? standard(session.spark()) : output;
      boolean replaced = compare && Reports.exists(session.spark(), file);
      if (compare) {
        Reports.compare(session.spark(), runs.getFirst(), runs.getLast(), file)
            .forEach(out::println);
      } else {
        Reports.write(session.spark(), runs.getFirst(), file);
      }
      out.println("report   " + file + (replaced ? ", in place of an earlier page" : ""));
      out.flush();
    }
    return ExitCode.DONE;
  }

  private String standard(SparkSession spark) {
    return compare
        ? Reports.comparisonOf(spark, runs.getFirst(), runs.getLast())
        : Reports.fileOf(runs.getFirst());
  }
}
