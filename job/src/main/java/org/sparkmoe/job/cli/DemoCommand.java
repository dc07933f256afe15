package org.sparkmoe.job.cli;

import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.Callable;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.job.plan.DispatchMode;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.verify.Verification;
import org.sparkmoe.job.verify.Verifier;
import org.sparkmoe.kernels.backend.BackendSelector;
import org.sparkmoe.udfs.plan.Reduction;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/**
 * {@code moe demo}: the main job on the checkpoint in the jar, checked against its reference
 * output.
 */
@Command(
    name = "demo",
    description = "Run a small bundled checkpoint, check the result, show the first rows.",
    footer = {"", ExitCode.HELP})
final class DemoCommand implements Callable<Integer> {
  private static final List<String> FILES =
      List.of("config.json", "model.safetensors", "reference.safetensors");

  private static final String BLOCK = "model.layers.1.mlp";

  @Spec private CommandSpec spec;

  @Option(
      names = "--output",
      paramLabel = "DIR",
      defaultValue = "moe-demo",
      description = "Local folder for the checkpoint and the run. Default: moe-demo.")
  private Path folder;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    Path checkpoint = unpack();
    String input = reference(checkpoint, "input");
    Path run = folder.resolve("run").toAbsolutePath();
    JobRequest request =
        new JobRequest(
            checkpoint.toString(),
            1,
            TokenOptions.of(input),
            run.toString(),
            JobRequest.OutputFormat.PARQUET,
            BackendSelector.Request.auto(),
            Optional.of(DispatchMode.EP),
            OptionalInt.of(4),
            JobRequest.Placement.BALANCED,
            OptionalInt.empty(),
            Reduction.EXPERT_ORDER,
            JobRequest.ActivationQuant.AUTO,
            OptionalLong.empty(),
            true,
            OptionalLong.of(0));
    try (Session session = Session.start("Spark MoE demo")) {
      int code = RunCommand.run(session.spark(), request, spec.commandLine());
      if (code != ExitCode.DONE) {
        return code;
      }
      show(session.spark(), run, out);
      out.println();
      out.println("compared with Hugging Face transformers (job/bin/moe verify):");
      Verification found =
          new Verifier(session.spark(), 3)
              .verify(run.toString(), reference(checkpoint, "output"), OptionalDouble.empty());
      int verdict = VerifyCommand.report(found, false, out);
      again(input, checkpoint, out);
      out.flush();
      return verdict;
    }
  }

  private static String reference(Path checkpoint, String part) {
    return checkpoint.resolve("reference.safetensors") + "#" + BLOCK + "." + part;
  }

  private Path unpack() {
    Path checkpoint = folder.resolve("checkpoint").toAbsolutePath();
    try {
      Files.createDirectories(checkpoint);
      for (String file : FILES) {
        try (InputStream in = DemoCommand.class.getResourceAsStream("/demo/" + file)) {
          Files.copy(in, checkpoint.resolve(file), StandardCopyOption.REPLACE_EXISTING);
        }
      }
      return checkpoint;
    } catch (IOException e) {
      throw new UncheckedIOException("cannot write to " + folder, e);
    }
  }

  private static void show(SparkSession spark, Path run, PrintWriter out) {
    for (String table : List.of("outputs", "routes")) {
      spark.read().parquet(run.resolve(table).toString()).createOrReplaceTempView(table);
    }
    show(
        spark,
        out,
        "SELECT token_id, slice(moe.decode(output, 'f32'), 1, 4) AS output_1_to_4, error"
            + " FROM outputs ORDER BY token_id");
    show(spark, out, "SELECT * FROM routes ORDER BY token_id, topk_slot");
    show(
        spark,
        out,
        "SELECT expert_id, count(*) AS tokens, round(avg(topk_weight), 4) AS mean_weight"
            + " FROM routes GROUP BY expert_id ORDER BY tokens DESC, expert_id");
  }

  /**
   * Spark prints tables to standard output by itself, so what we have written must be out before.
   */
  private static void show(SparkSession spark, PrintWriter out, String query) {
    out.println();
    out.println(query);
    out.flush();
    spark.sql(query).show(4, false);
  }

  private void again(String input, Path checkpoint, PrintWriter out) {
    out.println("everything is under " + folder.toAbsolutePath() + "; the same by hand:");
    out.println("  job/bin/moe inspect --model " + checkpoint);
    out.println("  job/bin/moe run --model " + checkpoint + " --layer 1 \\");
    out.println("    --input '" + input + "' --output out");
  }
}
