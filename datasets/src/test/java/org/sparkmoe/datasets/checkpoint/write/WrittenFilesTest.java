package org.sparkmoe.datasets.checkpoint.write;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.Test;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.checkpoint.Checkpoint;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.checkpoint.MemoryFileSystem;
import org.sparkmoe.datasets.checkpoint.MoeLayer;
import org.sparkmoe.datasets.safetensors.SafetensorsFile;
import org.sparkmoe.datasets.safetensors.TensorInfo;
import org.sparkmoe.kernels.tensor.DType;

/** Which files a written checkpoint has, and when it has none. */
final class WrittenFilesTest extends Writing {
  @Test
  void shardsHoldWhatTheIndexSays() {
    Fixtures.copy("qwen2_moe", source);
    long limit = 40_000;
    Written written = write("fp8-block", limit);
    List<String> shards = Written.shards(output);
    assertThat(shards).hasSizeGreaterThan(5);
    for (int i = 0; i < shards.size(); i++) {
      assertThat(shards.get(i))
          .isEqualTo("model-%05d-of-%05d.safetensors".formatted(i + 1, shards.size()));
    }
    for (SafetensorsFile file : new HashSet<>(written.fileOf().values())) {
      Set<String> experts = new HashSet<>();
      long bytes = 0;
      for (TensorInfo info : file.tensors().values()) {
        bytes += info.bytes();
        experts.add(info.name().replaceAll("(?<=(experts\\.\\d{1,2}|shared_expert)\\.).*", ""));
      }
      assertThat(bytes <= limit || experts.size() == 1).as("%s", experts).isTrue();
    }
    assertThat(plan(source, "fp8-block", limit).shards()).isEqualTo(shards.size());
  }

  @Test
  void bytesDoNotDependOnThreads() throws IOException {
    Fixtures.copy("olmoe", source);
    plan(source, "nvfp4", 100_000).write(output.toString(), false, 1, SILENT);
    Path other = folder.resolve("other");
    plan(source, "nvfp4", 100_000).write(other.toString(), false, 5, SILENT);
    assertThat(Written.names(other)).isEqualTo(Written.names(output)).hasSizeGreaterThan(4);
    for (String name : Written.names(output)) {
      assertThat(other.resolve(name)).hasSameBinaryContentAs(output.resolve(name));
    }
  }

  @Test
  void everyErrorIsTold() {
    Fixtures.copy("qwen2_moe", source);
    Map<String, TensorError> errors = new TreeMap<>();
    List<Long> progress = new ArrayList<>();
    CheckpointQuantizer quantizer = plan(source, "int8", 1 << 20);
    quantizer.write(
        output.toString(),
        false,
        2,
        (error, written, total) -> {
          assertThat(errors.put(error.weight(), error)).isNull();
          assertThat(total).isEqualTo(quantizer.bytes());
          progress.add(written);
        });
    MoeLayer layer = Checkpoint.open(source.toString(), CONF).layer(0);
    int perLayer = 3 * (layer.spec().experts() + 1);
    assertThat(errors).hasSize(2 * perLayer);
    assertThat(progress).isSorted().last().isNotEqualTo(0L);
    TensorError shared = errors.get("model.layers.1.mlp.shared_expert.down_proj");
    assertThat(shared.projection()).isEqualTo("shared down");
    assertThat(shared.layer()).isEqualTo(1);
    assertThat(shared.rows()).isEqualTo(layer.spec().hidden());
    assertThat(shared.error().relative()).isBetween(1e-4, 0.01);
    assertThat(shared.error().largest()).isBetween(1e-6, 0.1);
    assertThat(quantizer.bytes()).isLessThan(quantizer.sourceBytes());
  }

  @Test
  void otherFilesComeAlong() throws IOException {
    Fixtures.copy("olmoe", source);
    for (String name :
        List.of(
            "tokenizer.json",
            "generation_config.json",
            "LICENSE",
            ".hidden",
            "pytorch_model.bin",
            "pytorch_model.bin.index.json",
            "extra.safetensors")) {
      Files.writeString(source.resolve(name), name);
    }
    Files.createDirectory(source.resolve("original"));
    write("int8");
    assertThat(Written.names(output))
        .containsExactly(
            "LICENSE",
            "config.json",
            "generation_config.json",
            "model-00001-of-00001.safetensors",
            "model.safetensors.index.json",
            "tokenizer.json");
    assertThat(output.resolve("tokenizer.json")).hasContent("tokenizer.json");
  }

  @Test
  void aWeightThatIsNotFiniteIsNamedAndNothingIsLeft() {
    Models.mixtral(source, 64, 32, Float.NaN, DType.F32);
    refused("fp8-block", "model.layers.0.block_sparse_moe.experts.1.w2", "NaN");
  }

  @Test
  void aCrashLeavesNothing() {
    Fixtures.copy("olmoe", source);
    assertThatExceptionOfType(IllegalStateException.class)
        .isThrownBy(
            () ->
                plan(source, "int8", 60_000)
                    .write(
                        output.toString(),
                        false,
                        2,
                        (error, written, total) -> {
                          if (written > total / 2) {
                            throw new IllegalStateException("pulled the plug");
                          }
                        }))
        .withMessage("pulled the plug");
    assertThat(Written.names(folder)).containsExactly("source");
  }

  private void write(Path to, boolean overwrite) {
    plan(source, "int8", 1 << 20).write(to.toString(), overwrite, 1, SILENT);
  }

  private void refusedOutput(Path to, boolean overwrite, String... words) {
    assertThatExceptionOfType(InputException.class)
        .isThrownBy(() -> write(to, overwrite))
        .satisfies(e -> assertThat(e.getMessage()).contains(words).doesNotContain("\n"));
  }

  @Test
  void whatIsThereIsKeptUnlessItIsACheckpoint() throws IOException {
    Fixtures.copy("olmoe", source);
    Path photos = Files.createDirectory(folder.resolve("photos"));
    Files.writeString(photos.resolve("one.jpg"), "precious");
    Path link = Files.createSymbolicLink(folder.resolve("link"), source);
    refusedOutput(photos, false, "exists and is no sharded checkpoint", "name another");
    refusedOutput(photos, true, "is no sharded checkpoint", "name another");
    refusedOutput(photos.resolve("one.jpg"), true, "is a file");
    refusedOutput(source, true, "holds the model itself");
    refusedOutput(link, true, "holds the model itself");
    refusedOutput(folder, true, "holds the model itself");
    refusedOutput(Path.of("/"), true, "has no parent folder");
    write(output, false);
    refusedOutput(output, false, "exists", "--overwrite");
    Files.writeString(output.resolve("stale"), "");
    write(output, true);
    Written.open(output);
    assertThat(output.resolve("stale")).doesNotExist();
    Path empty = Files.createDirectory(folder.resolve("empty"));
    write(empty, false);
    Written.open(empty);
    assertThat(Written.names(folder))
        .containsExactly("empty", "link", "output", "photos", "source");
    assertThat(photos.resolve("one.jpg")).hasContent("precious");
  }

  @Test
  void anyFileSystemServesBothSides() {
    Fixtures.copy("olmoe", source);
    Configuration conf = MemoryFileSystem.conf(folder.resolve("cache"));
    Checkpoint checkpoint = Checkpoint.open("mem:" + source, conf);
    String uri =
        CheckpointQuantizer.plan(checkpoint, Scheme.of("fp8-channel"), 50_000, conf)
            .write("mem:" + output, false, 2, SILENT);
    assertThat(uri).isEqualTo("mem:" + output);
    copiesKeepTheirBits(Written.open(output), expertsOf(checkpoint));
  }
}
