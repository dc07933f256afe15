package org.sparkmoe.job.cli;

import java.io.PrintWriter;
import java.util.List;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.apache.hadoop.conf.Configuration;
import org.sparkmoe.datasets.checkpoint.Checkpoint;
import org.sparkmoe.datasets.checkpoint.LayerKind;
import org.sparkmoe.datasets.checkpoint.MoeLayer;
import org.sparkmoe.datasets.checkpoint.TensorRef;
import org.sparkmoe.job.plan.Amounts;
import org.sparkmoe.job.plan.Planner;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code moe inspect}. Needs no Spark session. */
@Command(
    name = "inspect",
    customSynopsis = "moe inspect MODEL",
    description = "Show what a checkpoint holds: family, layers, experts, router, bytes.",
    footer = {"", ExitCode.HELP})
final class InspectCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;

  @Parameters(arity = "0..1", paramLabel = "MODEL", description = "Hugging Face checkpoint folder.")
  private String folder;

  @Option(
      names = "--model",
      paramLabel = "DIR",
      description = "The folder as an option, as run takes it.")
  private String model;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    Checkpoint checkpoint = Checkpoint.open(model(), new Configuration());
    out.println("model    " + checkpoint.uri());
    out.println("family   " + checkpoint.family());
    out.printf(
        "layers   %d: %s%n",
        checkpoint.layers().size(),
        checkpoint.layers().values().stream()
            .collect(Collectors.groupingBy(kind -> kind, TreeMap::new, Collectors.counting()))
            .entrySet()
            .stream()
            .map(entry -> entry.getValue() + " " + name(entry.getKey()))
            .collect(Collectors.joining(", ")));
    for (int index : checkpoint.moeLayers()) {
      print(checkpoint.layer(index), out);
    }
    out.flush();
    return ExitCode.DONE;
  }

  private String model() {
    if (folder == null && model == null) {
      throw new ParameterException(
          spec.commandLine(), "Missing folder of a checkpoint: 'MODEL' or '--model=DIR'");
    }
    // A twin of the option, from a setting, gives way to the command line.
    if (folder != null && spec.commandLine().getParseResult().hasMatchedOption("--model")) {
      throw new ParameterException(
          spec.commandLine(),
          "%s and --model %s name two folders; give one".formatted(folder, model));
    }
    return folder == null ? model : folder;
  }

  private static void print(MoeLayer layer, PrintWriter out) {
    out.println();
    out.printf("layer %-3d%s%n", layer.index(), layer.module());
    out.println("  shape   " + LayerTexts.shape(layer.spec()));
    out.println("  router  " + LayerTexts.router(layer.spec().routing()));
    out.println("  act     " + LayerTexts.activation(layer.spec().activation()));
    out.println("  weights " + QuantTexts.weights(layer));
    out.println(
        "  quant   activations "
            + QuantTexts.activations(layer.schemes(), layer.spec().shared().isPresent()));
    List<String> backends = BackendTable.of(Planner.formats(layer));
    out.println("  runs on " + backends.getFirst());
    backends.stream().skip(1).forEach(line -> out.println("          " + line));
    out.printf(
        "  bytes   %s in %s%n",
        Amounts.bytes(layer.storedBytes()),
        layer.tensors().stream()
            .map(TensorRef::dtype)
            .map(String::valueOf)
            .distinct()
            .sorted()
            .collect(Collectors.joining(", ")));
  }

  private static String name(LayerKind kind) {
    return switch (kind) {
      case MOE -> "with experts";
      case DENSE -> "dense";
      case MTP -> "for multi-token prediction (not run)";
    };
  }
}
