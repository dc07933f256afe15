package org.sparkmoe.datasets.checkpoint.write;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.checkpoint.Checkpoint;
import org.sparkmoe.datasets.safetensors.SafetensorsFile;
import org.sparkmoe.datasets.safetensors.TensorInfo;

/** Quantizes a model in one temporary folder into another beside it. */
abstract class Writing {
  static final Configuration CONF = new Configuration(false);
  static final QuantizeListener SILENT = (error, written, total) -> {};

  @TempDir Path folder;

  Path source;
  Path output;

  @BeforeEach
  void folders() throws IOException {
    source = Files.createDirectory(folder.resolve("source"));
    output = folder.resolve("output");
  }

  static CheckpointQuantizer plan(Path source, String scheme, long shardBytes) {
    return CheckpointQuantizer.plan(
        Checkpoint.open(source.toString(), CONF), Scheme.of(scheme), shardBytes, CONF);
  }

  Written write(String scheme) {
    return write(scheme, 1 << 20);
  }

  Written write(String scheme, long shardBytes) {
    plan(source, scheme, shardBytes).write(output.toString(), false, 3, SILENT);
    assertThat(Written.names(folder)).noneMatch(name -> name.startsWith("."));
    return Written.open(output);
  }

  void refused(String scheme, String... words) {
    assertThatExceptionOfType(InputException.class)
        .isThrownBy(() -> write(scheme))
        .satisfies(e -> assertThat(e.getMessage()).contains(words).doesNotContain("\n"));
    assertThat(output).doesNotExist();
    assertThat(Written.names(folder)).containsExactly("source");
  }

  void copiesKeepTheirBits(Written written, Set<String> replaced) {
    try (SafetensorsFile file = SafetensorsFile.open(source.resolve("model.safetensors"))) {
      for (TensorInfo info : file.tensors().values()) {
        if (!replaced.contains(info.name())) {
          assertThat(written.info(info.name()).typeAndShape()).isEqualTo(info.typeAndShape());
          assertThat(written.data(info.name()))
              .as(info.name())
              .isEqualTo(file.data(info.name()).toArray(ValueLayout.JAVA_BYTE));
        }
      }
      Set<String> dropped = new HashSet<>(replaced);
      // FP8 and INT8 keep the name of a weight that was not fused.
      dropped.removeIf(name -> name.endsWith(".weight"));
      assertThat(written.fileOf()).doesNotContainKeys(dropped.toArray(String[]::new));
    }
  }

  static Set<String> expertsOf(Checkpoint checkpoint) {
    Set<String> names = new HashSet<>();
    checkpoint
        .moeLayers()
        .forEach(n -> names.addAll(ExpertModules.of(checkpoint.layer(n)).sources()));
    return names;
  }
}
