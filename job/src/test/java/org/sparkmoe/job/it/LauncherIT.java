package org.sparkmoe.job.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.datasets.checkpoint.Fixtures;

/** What {@code job/bin/moe} does itself, before any command of ours runs. */
class LauncherIT {
  private static final Path LAUNCHER = Installation.ROOT.resolve("job/bin/moe");

  @TempDir Path folder;

  @Test
  void worksThroughALinkFromAnotherFolder() throws Exception {
    Path link = Files.createSymbolicLink(folder.resolve("a link"), LAUNCHER);
    String jar = Installation.JAR.getFileName().toString();
    String version = jar.substring("spark-moe-".length(), jar.length() - ".jar".length());
    Ended ended = run(link, System.getProperty("java.home"), "--version");
    assertThat(ended.code()).as(ended.text()).isZero();
    assertThat(ended.text()).contains(version);
  }

  @Test
  void helpEndsWithTheOptionsOfSpark() throws Exception {
    Ended ended = run(LAUNCHER, System.getProperty("java.home"), "--help");
    assertThat(ended.code()).as(ended.text()).isZero();
    assertThat(ended.text()).contains("--master URL", "MOE_JAVA_HOME");
  }

  @ParameterizedTest
  @ValueSource(strings = {"25", "25.0.1", "25.0.2", "25.0.2.1"})
  void refusesTheReleasesThatCorruptData(String version) throws Exception {
    Ended ended = run(LAUNCHER, jdk(version), "--version");
    assertThat(ended.code()).isEqualTo(2);
    assertThat(ended.text()).contains(version, "corrupt data", "adoptium.net");
  }

  @ParameterizedTest
  @ValueSource(strings = {"17.0.15", "24.0.2", "26"})
  void refusesOtherVersions(String version) throws Exception {
    Ended ended = run(LAUNCHER, jdk(version), "--version");
    assertThat(ended.code()).isEqualTo(2);
    assertThat(ended.text()).contains(version, "25.0.3 or later", "adoptium.net");
  }

  @ParameterizedTest
  @CsvSource({"--model, come after", "--model=x, come after", "--master, needs a value"})
  void refusesAMisplacedOption(String option, String reason) throws Exception {
    Ended ended = run(LAUNCHER, System.getProperty("java.home"), option);
    assertThat(ended.code()).isEqualTo(2);
    assertThat(ended.text()).containsPattern(reason);
  }

  /**
   * Found on an executor, while it writes: Spark logs such failures with the stacks of all who pass
   * them on.
   */
  @Test
  void aFailingTaskEndsTheRunInOneLine() throws Exception {
    Path model = Files.createDirectory(folder.resolve("model"));
    Path fixture = Fixtures.quant("fp8_channel_token");
    Files.copy(fixture.resolve("config.json"), model.resolve("config.json"));
    byte[] tensors = Files.readAllBytes(fixture.resolve("model.safetensors"));
    clearFirst(tensors, "model.layers.0.mlp.experts.0.gate_proj.weight_scale");
    Files.write(model.resolve("model.safetensors"), tensors);
    Ended ended =
        run(
            LAUNCHER,
            System.getProperty("java.home"),
            "run",
            "--model=" + model,
            "--layer=0",
            "--input=" + fixture.resolve("reference.safetensors") + "#model.layers.0.mlp.input",
            "--output=" + folder.resolve("run"),
            "--dispatch=replicated",
            "--backend=vector");
    assertThat(ended.code()).as(ended.text()).isEqualTo(2);
    assertThat(ended.text()).doesNotContain("\tat ", "Caused by");
    assertThat(ended.text().lines().filter(line -> line.startsWith("moe:")))
        .singleElement()
        .asString()
        .contains("experts.0.gate_proj.weight", "scale of 0.0");
  }

  /** Sets the first value of a tensor of 16 bits to 0. */
  private static void clearFirst(byte[] tensors, String name) {
    int header = ByteBuffer.wrap(tensors).order(ByteOrder.LITTLE_ENDIAN).getInt();
    String names = new String(tensors, Long.BYTES, header, StandardCharsets.UTF_8);
    Matcher tensor =
        Pattern.compile(Pattern.quote(name) + "\"[^}]*\"data_offsets\": *\\[([0-9]+)")
            .matcher(names);
    assertThat(tensor.find()).as(names).isTrue();
    int first = Long.BYTES + header + Integer.parseInt(tensor.group(1));
    Arrays.fill(tensors, first, first + Short.BYTES, (byte) 0);
  }

  // A folder that looks like a JDK as far as its version.
  private String jdk(String version) throws IOException {
    Path java = Files.createDirectories(folder.resolve("jdk/bin")).resolve("java");
    Files.writeString(java, "#!/bin/sh\nexit 1\n");
    assertThat(java.toFile().setExecutable(true)).isTrue();
    Files.writeString(folder.resolve("jdk/release"), "JAVA_VERSION=\"" + version + "\"\n");
    return folder.resolve("jdk").toString();
  }

  private Ended run(Path launcher, String javaHome, String... arguments) throws Exception {
    List<String> command = new ArrayList<>(List.of(launcher.toString()));
    command.addAll(List.of(arguments));
    Path output = folder.resolve("output");
    ProcessBuilder builder = new ProcessBuilder(command).directory(folder.toFile());
    builder.redirectErrorStream(true).redirectOutput(output.toFile());
    builder.environment().put("MOE_JAVA_HOME", javaHome);
    Process process = builder.start();
    try {
      assertThat(process.waitFor(60, TimeUnit.SECONDS)).as("ended in time").isTrue();
    } finally {
      Installation.kill(process);
    }
    return new Ended(process.exitValue(), Files.readString(output, StandardCharsets.UTF_8));
  }

  private record Ended(int code, String text) {}
}
