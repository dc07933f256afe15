package org.sparkmoe.job.cli;

import java.io.PrintWriter;
import java.util.concurrent.Callable;
import org.sparkmoe.job.report.Reports;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code moe report}. */
@Command(
    name = "report",
    customSynopsis = "moe report RUN [--output FILE]",
    description = "Make the page of a run again.",
    footer = {
      "",
      ExitCode.HELP,
      "",
      "  moe report run1",
    })
final class ReportCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;

  @Parameters(
      paramLabel = "RUN",
      description = "Folder of a run, or of the runs of several layers.")
  private String run;

  @Option(
      names = "--output",
      order = 10,
      paramLabel = "FILE",
      description = "Page to write; only a report is replaced. Default: report.html in RUN.")
  private String output;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    try (Session session = Session.start("Spark MoE report")) {
      String file = output == null ? Reports.fileOf(run) : output;
      Reports.write(session.spark(), run, file);
      out.println("report   " + file);
      out.flush();
    }
    return ExitCode.DONE;
  }
}
