package org.sparkmoe.datasets.checkpoint;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.sparkmoe.datasets.safetensors.SafetensorsFile;

/**
 * The tiny checkpoints under {@code fixtures/hf}, one per model family, with reference results of
 * Hugging Face transformers in {@code reference.safetensors}. Found on the class path, in a folder
 * or in a jar.
 */
public final class Fixtures {
  private static final List<String> FAMILIES =
      List.of(
          "deepseek_v2",
          "deepseek_v3",
          "dots1",
          "ernie4_5_moe",
          "flex_olmo",
          "glm4_moe",
          "gpt_oss",
          "granitemoe",
          "hunyuan_v1_moe",
          "jamba",
          "jetmoe",
          "lfm2_moe",
          "llama4",
          "minimax",
          "minimax_m2",
          "mixtral",
          "olmoe",
          "phimoe",
          "qwen2_moe",
          "qwen3_moe",
          "qwen3_next");
  private static final List<String> FILES =
      List.of("config.json", "model.safetensors", "reference.safetensors");
  private static final Pattern BLOCK_OUTPUT =
      Pattern.compile("(model\\.layers\\.(\\d+)\\.(mlp|feed_forward|block_sparse_moe))\\.output");

  private static final Map<String, Path> UNPACKED = new ConcurrentHashMap<>();

  private Fixtures() {}

  /**
   * A mixture whose reference holds {@code MODULE.input} and {@code MODULE.output}.
   *
   * @param family name of the fixture
   * @param layer number of the decoder layer
   * @param module name in {@code reference.safetensors}, which is that of transformers 5
   */
  public record Block(String family, int layer, String module) {
    @Override
    public String toString() {
      return family + " " + module;
    }
  }

  /** Names of all fixtures. */
  public static List<String> families() {
    return FAMILIES;
  }

  /** Every block with input and output, in the order of families and layers; JetMoE has none. */
  public static List<Block> blocks() {
    List<Block> blocks = new ArrayList<>();
    for (String family : FAMILIES) {
      try (SafetensorsFile reference = reference(family)) {
        for (String name : new TreeSet<>(reference.tensors().keySet())) {
          Matcher matcher = BLOCK_OUTPUT.matcher(name);
          if (matcher.matches()) {
            blocks.add(new Block(family, Integer.parseInt(matcher.group(2)), matcher.group(1)));
          }
        }
      }
    }
    return blocks;
  }

  /** A folder with the fixture's files. Shared by all tests: do not write to it. */
  public static Path folder(String family) {
    return UNPACKED.computeIfAbsent(family, Fixtures::locate);
  }

  /** The fixture's reference results; close it. */
  public static SafetensorsFile reference(String family) {
    return SafetensorsFile.open(folder(family).resolve("reference.safetensors"));
  }

  /** Copies the fixture's config.json and model.safetensors into {@code target}. */
  public static void copy(String family, Path target) {
    for (String file : FILES.subList(0, 2)) {
      try {
        Files.copy(
            folder(family).resolve(file),
            target.resolve(file),
            StandardCopyOption.REPLACE_EXISTING);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  private static Path locate(String family) {
    URI config = resource(family, "config.json");
    if (config.getScheme().equals("file")) {
      return Path.of(config).getParent();
    }
    try {
      Path folder = Files.createTempDirectory("fixture-" + family);
      folder.toFile().deleteOnExit();
      for (String file : FILES) {
        Path target = folder.resolve(file);
        try (InputStream in = resource(family, file).toURL().openStream()) {
          Files.copy(in, target);
        }
        target.toFile().deleteOnExit();
      }
      return folder;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static URI resource(String family, String file) {
    String name = "/fixtures/hf/" + family + "/" + file;
    URL url = Fixtures.class.getResource(name);
    if (url == null) {
      throw new IllegalArgumentException("no fixture " + name + " on the class path");
    }
    try {
      return url.toURI();
    } catch (URISyntaxException e) {
      throw new IllegalArgumentException(e);
    }
  }
}
