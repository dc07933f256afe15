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
 * Hugging Face transformers in {@code reference.safetensors}, and those under {@code
 * fixtures/quant}, one per quantized format. Found on the class path, in a folder or in a jar.
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
  private static final List<String> QUANTIZED =
      List.of(
          "awq_g64",
          "fp8_block128",
          "fp8_channel_token",
          "fp8_tensor_static",
          "gpt_oss_mxfp4",
          "gptq_g64",
          "int8_w8a8",
          "nvfp4_w4a4",
          "w4a16_ct_g128");
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

  /** Names of the fixtures with quantized experts; none is also a family's. */
  public static List<String> quantized() {
    return QUANTIZED;
  }

  /**
   * A folder with the files of a fixture with quantized experts. Its {@code reference.safetensors}
   * holds input and output of {@code model.layers.0.mlp}, and for all but gpt_oss_mxfp4 also {@code
   * topk_ids}, {@code topk_weights} and {@code unquantized.output}. Do not write to it.
   */
  public static Path quant(String name) {
    return UNPACKED.computeIfAbsent(name, known -> locate("quant", known));
  }

  /** A folder with the fixture's files. Shared by all tests: do not write to it. */
  public static Path folder(String family) {
    return UNPACKED.computeIfAbsent(family, known -> locate("hf", known));
  }

  /** The fixture's reference results; close it. */
  public static SafetensorsFile reference(String family) {
    return SafetensorsFile.open(folder(family).resolve("reference.safetensors"));
  }

  /** Copies the fixture's config.json and model.safetensors into {@code target}. */
  public static void copy(String family, Path target) {
    copy(folder(family), target);
  }

  /** Copies config.json and model.safetensors of one folder into another. */
  static void copy(Path folder, Path target) {
    for (String file : FILES.subList(0, 2)) {
      try {
        Files.copy(folder.resolve(file), target.resolve(file), StandardCopyOption.REPLACE_EXISTING);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  private static Path locate(String kind, String fixture) {
    String path = "/fixtures/" + kind + "/" + fixture + "/";
    URI config = resource(path + "config.json");
    if (config.getScheme().equals("file")) {
      return Path.of(config).getParent();
    }
    try {
      Path folder = Files.createTempDirectory("fixture-" + fixture);
      folder.toFile().deleteOnExit();
      for (String file : FILES) {
        Path target = folder.resolve(file);
        try (InputStream in = resource(path + file).toURL().openStream()) {
          Files.copy(in, target);
        }
        target.toFile().deleteOnExit();
      }
      return folder;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static URI resource(String name) {
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
