package org.sparkmoe.kernels.bench;

import java.util.ArrayList;
import java.util.List;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.CommandLineOptionException;
import org.openjdk.jmh.runner.options.CommandLineOptions;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.Probes;

/**
 * JMH's own command line, on the backends that run here; the others are named with the reason. A
 * backend that {@code -p backend=NAME} asks for is not left out: it fails where it cannot run.
 * SCALAR, which proves the others, is measured only when it is asked for.
 */
public final class Main {
  private static final String BACKEND = "backend";

  private Main() {}

  public static void main(String[] args) throws CommandLineOptionException, RunnerException {
    CommandLineOptions options = new CommandLineOptions(args);
    OptionsBuilder builder = new OptionsBuilder();
    builder.parent(options);
    if (!options.getParameter(BACKEND).hasValue()) {
      builder.param(BACKEND, runnable().toArray(String[]::new));
    }
    new Runner(builder.build()).run();
  }

  private static List<String> runnable() {
    Probes probes = Probes.gather(List.of(Backend.values()));
    List<String> names = new ArrayList<>();
    for (Backend backend : Backend.values()) {
      if (backend == Backend.SCALAR) {
        continue;
      }
      probes
          .refusal(backend)
          .ifPresentOrElse(
              reason -> System.out.println("# skipped " + backend + ": " + reason),
              () -> names.add(backend.name()));
    }
    return names;
  }
}
