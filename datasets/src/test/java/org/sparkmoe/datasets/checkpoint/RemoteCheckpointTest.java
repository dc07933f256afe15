package org.sparkmoe.datasets.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.kernels.tensor.Matrix;

/** Checkpoints on a file system that is not local: copied, checked, reused. */
final class RemoteCheckpointTest {
  @TempDir Path remote;
  @TempDir Path scratch;

  private Path cache;
  private Configuration conf;

  @BeforeEach
  void configure() {
    cache = scratch.resolve("cache");
    conf = MemoryFileSystem.conf(cache);
    Fixtures.copy("mixtral", remote);
  }

  @Test
  void plansWithoutCopyingAndOpensACopy() throws IOException {
    MoeLayer layer = layer();
    assertThat(layer.checkpoint()).startsWith("mem:/");
    assertThat(cache).doesNotExist();
    assertValues(layer);
    assertThat(files()).as("a shard and its checksum, nothing temporary").hasSize(2);
    long written = Files.getLastModifiedTime(copy()).toMillis();
    assertValues(layer);
    assertThat(Files.getLastModifiedTime(copy()).toMillis()).as("reused").isEqualTo(written);
  }

  @Test
  void replacesADamagedCopy() throws IOException {
    MoeLayer layer = layer();
    assertValues(layer);
    byte[] good = Files.readAllBytes(copy());
    byte[] damaged = good.clone();
    damaged[damaged.length - 7] ^= 1;
    Files.write(copy(), damaged);
    assertValues(layer);
    assertThat(Files.readAllBytes(copy())).isEqualTo(good);
    Files.write(copy(), new byte[9]);
    assertValues(layer);
    assertThat(Files.readAllBytes(copy())).isEqualTo(good);
  }

  @Test
  void noticesThatTheSourceChanged() throws IOException {
    MoeLayer layer = layer();
    Path shard = remote.resolve("model.safetensors");
    byte[] bytes = Files.readAllBytes(shard);
    int digit = new String(bytes, 0, 2_000, StandardCharsets.ISO_8859_1).indexOf("layers.0");
    bytes[digit + 7] = '1';
    Files.write(shard, bytes);
    assertRefused(layer, "not safetensors");
    Files.write(shard, new byte[5]);
    assertRefused(layer, "has 5 bytes, not ");
    Files.delete(shard);
    assertRefused(layer, "is not on this machine");
  }

  @Test
  void saysWhereTheCopyCannotGo() throws IOException {
    Files.writeString(cache, "a file where the folder should be");
    assertRefused(layer(), "set spark.moe.cache.dir to another folder");
  }

  private MoeLayer layer() {
    return Checkpoint.open("mem://" + remote, conf).layer(0);
  }

  private void assertValues(MoeLayer layer) {
    try (LayerTensors copied = layer.open(conf);
        LayerTensors local = Synthetic.open(remote).layer(0).open(Synthetic.CONF)) {
      Arena arena = Arena.ofAuto();
      MemorySegment w2 = ((Matrix) copied.expert(5, arena).w2()).data();
      assertThat(w2.mismatch(((Matrix) local.expert(5, arena).w2()).data())).isEqualTo(-1);
      MemorySegment router = copied.router(arena).data();
      assertThat(router.mismatch(local.router(arena).data())).isEqualTo(-1);
    }
  }

  private void assertRefused(MoeLayer layer, String message) {
    assertThatExceptionOfType(InputException.class)
        .isThrownBy(() -> layer.open(conf))
        .satisfies(e -> assertThat(e.getMessage()).contains(message))
        .satisfies(e -> assertThat(e.getMessage().lines()).hasSize(1));
  }

  private List<Path> files() throws IOException {
    try (Stream<Path> files = Files.list(cache)) {
      return files.toList();
    }
  }

  private Path copy() throws IOException {
    return files().stream()
        .filter(file -> file.toString().endsWith(".safetensors"))
        .findAny()
        .orElseThrow();
  }
}
