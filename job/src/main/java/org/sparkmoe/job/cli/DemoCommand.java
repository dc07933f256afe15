package org.sparkmoe.job.cli;

import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.Callable;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.job.plan.DispatchMode;
import org.sparkmoe.job.plan.JobRequest;
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
  private static final double TOLERANCE = 2e-5;

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
    String input = checkpoint.resolve("reference.safetensors") + "#" + BLOCK + ".input";
    Path run = folder.resolve("run").toAbsolutePath();
    JobRequest request =
        new JobRequest(
            checkpoint.toString(),
            1,
            TokenOptions.of(input),
            run.toString(),
            BackendSelector.Request.auto(),
            Optional.of(DispatchMode.EP),
            OptionalInt.of(4),
            JobRequest.Placement.BALANCED,
            OptionalInt.empty(),
            Reduction.SLOT_ORDER,
            JobRequest.ActivationQuant.AUTO,
            OptionalLong.empty(),
            true,
            OptionalLong.of(0));
    try (Session session = Session.start("Spark MoE demo")) {
      int code = RunCommand.run(session.spark(), request, spec.commandLine());
      if (code != ExitCode.DONE) {
        return code;
      }
      double worst = worstRow(session.spark(), run, checkpoint);
      show(session.spark(), out);
      out.printf(
          Locale.ROOT,
          "%nlargest difference of a row from Hugging Face transformers: %.1e (relative L2, limit"
              + " %.0e)%n",
          worst,
          TOLERANCE);
      again(input, checkpoint, out);
      out.flush();
      return worst <= TOLERANCE ? ExitCode.DONE : ExitCode.FAILED;
    }
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

  /** The largest relative L2 distance between a row of the run and of the reference. */
  private static double worstRow(SparkSession spark, Path run, Path checkpoint) {
    spark.read().parquet(run.resolve("outputs").toString()).createOrReplaceTempView("outputs");
    spark.read().parquet(run.resolve("routes").toString()).createOrReplaceTempView("routes");
    spark
        .read()
        .format("moe-safetensors")
        .load(checkpoint.resolve("reference.safetensors") + "#" + BLOCK + ".output")
        .createOrReplaceTempView("reference");
    Row worst =
        spark
            .sql(
                """
                SELECT max(sqrt(aggregate(zip_with(ours, theirs, (a, b) -> double(a - b) * (a - b)), 0D, (s, x) -> s + x)
                              / aggregate(transform(theirs, b -> double(b) * b), 0D, (s, x) -> s + x))),
                       count(*)
                FROM (SELECT moe.decode(o.output, 'f32') ours, moe.decode(r.hidden, 'f32') theirs
                      FROM outputs o JOIN reference r USING (token_id))
                """)
            .first();
    return worst.getLong(1) == spark.table("reference").count() ? worst.getDouble(0) : Double.NaN;
  }

  private static void show(SparkSession spark, PrintWriter out) {
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
