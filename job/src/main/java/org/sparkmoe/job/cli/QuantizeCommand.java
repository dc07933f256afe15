package org.sparkmoe.job.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.network.util.JavaUtils;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.checkpoint.Checkpoint;
import org.sparkmoe.datasets.checkpoint.write.CheckpointQuantizer;
import org.sparkmoe.datasets.checkpoint.write.Scheme;
import org.sparkmoe.job.plan.Amounts;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code moe quantize}. Needs no Spark session. */
@Command(
    name = "quantize",
    customSynopsis = "moe quantize --model DIR --scheme S --output DIR [OPTION]...",
    description = "Write a checkpoint with quantized experts, and say what each weight lost.",
    footer = {
      "",
      "Routed and shared experts are quantized, to the nearest code and without calibration. All"
          + " other tensors keep their bits.",
      ExitCode.HELP,
      "",
      "  moe quantize --model OLMoE-1B-7B --scheme w4a16-g128 --output OLMoE-1B-7B-W4A16"
    })
final class QuantizeCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      order = 10,
      required = true,
      paramLabel = "DIR",
      description = "Hugging Face checkpoint folder with unquantized weights.")
  private String model;

  @Option(
      names = "--scheme",
      order = 20,
      required = true,
      paramLabel = "S",
      description = {"What experts are stored as:", Scheme.NAMES + "."})
  private String scheme;

  @Option(
      names = "--output",
      order = 30,
      required = true,
      paramLabel = "DIR",
      description = "Checkpoint folder to make; it appears whole or not at all.")
  private String output;

  @Option(
      names = "--overwrite",
      order = 40,
      description = "Replace the sharded checkpoint that is there.")
  private boolean overwrite;

  @Option(
      names = "--shard-size",
      order = 50,
      paramLabel = "SIZE",
      defaultValue = "5g",
      description = "What a file of weights may hold, for example 500m or 5g. Default: 5g.")
  private String shardSize;

  @Option(
      names = "--report",
      order = 60,
      paramLabel = "FILE.csv",
      description = "Local file for the error of every weight.")
  private String report;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    long start = System.nanoTime();
    Scheme known = Scheme.of(scheme);
    long shardBytes = shardBytes();
    Path csv = report == null ? null : csv();
    Configuration conf = new Configuration();
    Checkpoint checkpoint = Checkpoint.open(model, conf);
    CheckpointQuantizer quantizer = CheckpointQuantizer.plan(checkpoint, known, shardBytes, conf);
    quantizer.requireFree(output, overwrite);
    long before = quantizer.sourceBytes();
    out.printf("model    %s (%s)%n", checkpoint.uri(), checkpoint.family());
    out.printf("scheme   %s, for the experts of %s%n", known.name(), layers(checkpoint));
    out.printf(
        "size     %s in %d shard%s, of %s%n",
        Amounts.bytes(quantizer.bytes()),
        quantizer.shards(),
        quantizer.shards() == 1 ? "" : "s",
        Amounts.bytes(before));
    out.flush();
    WeightErrors errors = new WeightErrors();
    // Progress is not a result: it goes where that of run does.
    QuantizeProgress progress =
        new QuantizeProgress(System.err, checkpoint.moeLayers().size(), errors);
    String written =
        quantizer.write(output, overwrite, Runtime.getRuntime().availableProcessors(), progress);
    progress.end();
    if (csv != null) {
      write(csv, errors);
    }
    out.println();
    errors.table().forEach(out::println);
    out.println();
    out.printf("output   %s in %s%n", written, Amounts.seconds((System.nanoTime() - start) / 1e9));
    out.flush();
    return ExitCode.DONE;
  }

  private static String layers(Checkpoint checkpoint) {
    int count = checkpoint.moeLayers().size();
    return count == 1 ? "1 layer" : count + " layers";
  }

  private long shardBytes() {
    try {
      long bytes = JavaUtils.byteStringAsBytes(shardSize);
      if (bytes > 0) {
        return bytes;
      }
    } catch (IllegalArgumentException e) {
      throw new InputException(
          "--shard-size %s is no size; give a whole number and a unit, for example 500m or 5g"
              .formatted(shardSize),
          e);
    }
    throw new InputException(
        "--shard-size %s must be more than 0; hubs take up to 50g".formatted(shardSize));
  }

  /** Hours of work should not end with a report that has no place. */
  private Path csv() {
    Path path;
    try {
      path = Path.of(report).toAbsolutePath();
    } catch (InvalidPathException e) {
      throw new InputException(
          "--report %s is not a path: %s; name a local file".formatted(report, e.getReason()), e);
    }
    if (Files.isDirectory(path) || path.getParent() == null) {
      throw new InputException("--report %s is a folder; name a local file".formatted(report));
    }
    if (!Files.isWritable(path.getParent())) {
      throw new InputException(
          "--report %s cannot be written: no folder %s that you may write to; name another file"
              .formatted(report, path.getParent()));
    }
    return path;
  }

  private static void write(Path csv, WeightErrors errors) {
    try {
      Files.write(csv, errors.csv());
    } catch (IOException e) {
      throw new UncheckedIOException("the report cannot be written: " + e.getMessage(), e);
    }
  }
}
