package org.sparkmoe.job.bench;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import org.sparkmoe.kernels.bench.WrongResultException;
import picocli.CommandLine;

/** The entry point of {@code job/bin/moe bench}. */
public final class Main {
  private static final int FAILED = 1;
  private static final int WRONG_USAGE = 2;

  private Main() {}

  public static void main(String[] args) {
    CommandLine line = new CommandLine(new BenchCommand());
    PrintWriter err =
        new PrintWriter(new FileOutputStream(FileDescriptor.err), true, StandardCharsets.UTF_8);
    line.setOut(
        new PrintWriter(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8));
    line.setErr(err);
    line.setParameterExceptionHandler(
        (e, rest) -> {
          err.println("moe: " + e.getMessage() + " (see moe bench --help)");
          return WRONG_USAGE;
        });
    line.setExecutionExceptionHandler(
        (e, command, parsed) -> {
          if (e instanceof WrongResultException) {
            err.println("moe: " + e.getMessage());
          } else {
            e.printStackTrace(err);
          }
          return FAILED;
        });
    // Native libraries leave threads behind that would keep the process alive.
    System.exit(line.execute(args));
  }
}
