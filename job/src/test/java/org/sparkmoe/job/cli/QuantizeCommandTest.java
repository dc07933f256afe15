package org.sparkmoe.job.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.job.cli.Cli.Outcome;

/** {@code moe quantize} from end to end, and what it refuses. */
final class QuantizeCommandTest {
  @TempDir private Path folder;

  private List<String> quantize() {
    return List.of(
        "quantize",
        "--model",
        Fixtures.folder("qwen2_moe").toString(),
        "--scheme",
        "fp8-block",
        "--output",
        folder.resolve("out").toString());
  }

  private Outcome with(String option, String value) {
    return Cli.execute(Map.of(), Cli.with(quantize(), option, value));
  }

  private List<String> names(Path of) throws IOException {
    try (Stream<Path> files = Files.list(of)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void writesACheckpointAndSaysWhatItCost() throws IOException {
    Path report = folder.resolve("errors.csv");
    List<String> args = new ArrayList<>(quantize());
    args.addAll(List.of("--report", report.toString(), "--shard-size", "64k"));

    String out = Cli.execute(Map.of(), args).isDone().out();

    assertThat(out)
        .contains("(qwen2_moe)", "fp8-block, for the experts of 2 layers", " shards, of ")
        .containsPattern("(?m)^gate +24 +0\\.02\\d+ +0\\.0[23]\\d+ ")
        .containsPattern("(?m)^shared down +2 +0\\.02")
        .containsPattern("(?m)^worst +model\\.layers\\.\\d\\.mlp\\.\\S+_proj, 0\\.0[23]")
        .contains("output   file:" + folder.resolve("out"));
    List<String> lines = Files.readAllLines(report);
    assertThat(lines).hasSize(1 + 2 * 3 * 13);
    assertThat(lines.getFirst()).startsWith("layer,projection,weight,rows,cols,");
    assertThat(lines.get(1))
        .startsWith("0,gate,\"model.layers.0.mlp.experts.0.gate_proj\",48,64,0.0");
    assertThat(names(folder)).containsExactly("errors.csv", "out");
    assertThat(names(folder.resolve("out")))
        .contains("config.json", "model.safetensors.index.json")
        .anyMatch(name -> name.matches("model-00002-of-0000\\d\\.safetensors"));
  }

  @Test
  void refusesInOneLineAndWritesNothing() throws IOException {
    with("--scheme", "fp4").isRefused("--scheme", "fp4", "fp8-block", "w4a16-g128");
    with("--scheme", "w4a16-g64")
        .isRefused(
            "expert width 48 is no multiple of 64, the group of w4a16-g64;"
                + " choose one that fits: fp8-block, fp8-channel, int8, nvfp4\n");
    with("--scheme", null).isRefused("--scheme", "moe quantize --help");
    with("--shard-size", "much").isRefused("--shard-size much", "500m");
    with("--shard-size", "0").isRefused("--shard-size 0", "more than 0");
    with("--report", folder.toString()).isRefused("--report", "is a folder");
    with("--report", folder.resolve("no/such.csv").toString())
        .isRefused("no/such.csv", "no folder");
    with("--model", folder.resolve("nowhere").toString()).isRefused("nowhere", "download");
    with("--model", Fixtures.folder("gpt_oss").toString()).isRefused("biases", "mxfp4");
    assertThat(names(folder)).isEmpty();
  }

  @Test
  void anExistingOutputAndAQuantizedSourceAreRefused() throws IOException {
    Path out = folder.resolve("out");
    Files.createDirectory(out);
    Files.writeString(out.resolve("mine"), "precious");
    Outcome refused = Cli.execute(Map.of(), quantize());
    assertThat(refused.refusal("exists and is no sharded checkpoint", "name another"))
        .doesNotContain("--overwrite");
    assertThat(refused.out()).isEmpty();
    List<String> overwrite = new ArrayList<>(quantize());
    overwrite.add("--overwrite");
    Cli.execute(Map.of(), overwrite).isRefused("no sharded checkpoint", "--overwrite");
    assertThat(out.resolve("mine")).hasContent("precious");

    Path quantized = folder.resolve("quantized");
    with("--output", quantized.toString()).isDone();
    with("--output", quantized.toString()).isRefused("exists; add --overwrite");
    with("--model", quantized.toString()).isRefused("quantized already", "unquantized weights");
  }
}
