package org.sparkmoe.job.cli;

import java.io.PrintWriter;
import java.util.OptionalDouble;
import java.util.concurrent.Callable;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.job.verify.Verification;
import org.sparkmoe.job.verify.Verifier;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code moe verify}. */
@Command(
    name = "verify",
    customSynopsis = "moe verify --run DIR --reference REF [OPTION]...",
    description = {
      "Compare the outputs of a run with a reference, token by token, and print where they differ.",
    },
    footer = {
      "",
      "Rows that could not be scored have no output and count as missing.",
      "Exit codes: 0 they agree, 1 failed while running, 2 wrong usage or input, 3 they differ.",
      "",
      "  moe verify --run run1 --reference expected.safetensors#layer3.output",
      "  moe verify --run run1 --reference run2 --tolerance 0"
    })
final class VerifyCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;

  @Option(
      names = "--run",
      order = 10,
      required = true,
      paramLabel = "DIR",
      description = "Folder of the run.")
  private String run;

  @Option(
      names = "--reference",
      order = 20,
      required = true,
      paramLabel = "REF",
      description = {
        "FILE.safetensors#TENSOR, whose row numbers are token ids, or the folder of another run.",
      })
  private String reference;

  @Option(
      names = "--tolerance",
      order = 30,
      paramLabel = "X",
      description = {
        "Largest relative L2 distance of a row that passes; 0 asks for equal values.",
        "Default: by the coarser element type, 2e-5 for f32, 1e-3 for f16, 1e-2 for bf16.",
      })
  private Double tolerance;

  @Option(
      names = "--subset",
      order = 40,
      description = "The run may lack tokens of the reference, because it took only some of them.")
  private boolean subset;

  @Option(
      names = "--worst",
      order = 50,
      paramLabel = "N",
      defaultValue = "5",
      description = "Print the N tokens that differ most. Default: 5.")
  private int worst;

  @Override
  public Integer call() {
    // also refuses what is no number
    if (tolerance != null && !(tolerance >= 0)) {
      throw new InputException("--tolerance %s must be at least 0".formatted(tolerance));
    }
    try (Session session = Session.start("Spark MoE verify")) {
      Verification found =
          new Verifier(session.spark(), worst)
              .verify(
                  run,
                  reference,
                  tolerance == null ? OptionalDouble.empty() : OptionalDouble.of(tolerance));
      return report(found, subset, spec.commandLine().getOut());
    }
  }

  /** Prints what was found; the exit code. */
  static int report(Verification found, boolean subset, PrintWriter out) {
    VerifyTexts.of(found, subset).forEach(out::println);
    out.flush();
    return found.agrees(subset) ? ExitCode.DONE : ExitCode.DIFFERS;
  }
}
