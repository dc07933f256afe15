package org.sparkmoe.datasets.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.nio.file.Path;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.datasets.InputException;

/** What an index of shards may say. */
final class ShardIndexTest {
  private static final String BLOCK = "model.layers.0.block_sparse_moe";

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "../evil.safetensors",
        "/etc/passwd",
        "a/b.safetensors",
        "..",
        ".hidden.safetensors",
        "hdfs:x.safetensors",
        "model.bin",
        ""
      })
  void refusesShardNamesThatLeaveTheFolder(String shard) {
    Synthetic.config(folder, Synthetic.MIXTRAL);
    index("{'weight_map':{'x':'" + shard + "'}}");
    assertOpenRefused("not the plain name of a .safetensors file in the folder");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "[]                                                     | is not a JSON object",
        "{}                                                     | has no weight_map",
        "{'weight_map':[]}                                      | weight_map that is not an object",
        "{'weight_map':{'x':1}}                                 | to something not a name",
        "{'weight_map':{'x':'a.safetensors','x':'a.safetensors'}} | Duplicate",
        "{'weight_map':{'x':'a.safetensors'                     | is not valid JSON",
      })
  void refusesIndexes(String json, String message) {
    Synthetic.config(folder, Synthetic.MIXTRAL);
    index(json);
    assertOpenRefused(message);
  }

  @Test
  void refusesMissingAndLyingShards() {
    Synthetic.config(folder, Synthetic.MIXTRAL);
    index("{'weight_map':{'" + BLOCK + ".experts.0.w1.weight':'a.safetensors'}}");
    assertLayerRefused("a.safetensors\" is missing; download the whole checkpoint");
    new SafetensorsWriter()
        .addRandom(BLOCK + ".gate.weight", 3, 6)
        .write(folder.resolve("a.safetensors"));
    index("{'weight_map':{'" + BLOCK + ".experts.9.w1.weight':'a.safetensors'}}");
    assertLayerRefused("does not hold tensor");
  }

  private void index(String json) {
    Synthetic.text(folder.resolve("model.safetensors.index.json"), json);
  }

  private void assertOpenRefused(String message) {
    assertRefused(() -> Synthetic.open(folder), message);
  }

  private void assertLayerRefused(String message) {
    assertRefused(() -> Synthetic.open(folder).layer(0), message);
  }

  /** One line with a remedy. */
  private static void assertRefused(ThrowingCallable call, String message) {
    assertThatExceptionOfType(InputException.class)
        .isThrownBy(call)
        .satisfies(e -> assertThat(e.getMessage()).contains(message))
        .satisfies(e -> assertThat(e.getMessage().lines()).hasSize(1))
        .satisfies(e -> assertThat(e.getMessage()).matches(".+[;,] .+"));
  }
}
