package org.sparkmoe.datasets.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.sparkmoe.datasets.InputException;

/** Damages quantized checkpoints: they are read, or refused in one line, and nothing else. */
final class QuantFuzzTest {
  private static final long SEED = 97;
  private static final int ROUNDS = 60;

  /** Element types of one size, so that a file stays whole when one stands for another. */
  private static final List<List<String>> TYPES =
      List.of(
          List.of("F8_E4M3", "F8_E5M2", "F8_E8M0", "U8", "I8", "BOOL"),
          List.of("BF16", "F16", "I16"),
          List.of("F32", "I32", "U32"),
          List.of("I64", "F64", "U64"));

  private static final List<String> WORDS =
      List.of(
          "weight",
          "weight_scale",
          "weight_scale_inv",
          "weight_packed",
          "qweight",
          "input_scale",
          "g_idx",
          "w1",
          "gate_proj",
          "fp8",
          "gptq",
          "awq",
          "modelopt",
          "compressed-tensors",
          "mxfp4",
          "tensor",
          "channel",
          "group",
          "int",
          "float",
          "NVFP4",
          "MXFP8");

  private static final List<String> NUMBERS =
      List.of("0", "-1", "1", "3", "17", "2147483647", "99999999999", "1.5", "null", "[]");

  private static final String CHARACTERS = "{}[]\",:0129-.ax\u0000\n";

  private static final Pattern NUMBER = Pattern.compile("(?<=[:,\\[])-?\\d+");
  private static final Pattern WORD = Pattern.compile("(?<=[\".])[A-Za-z_][A-Za-z0-9_-]*(?=\")");
  private static final Pattern TYPE = Pattern.compile("(?<=\"dtype\":\")[A-Z0-9_]+");
  private static final Pattern SHAPE = Pattern.compile("(?<=\"shape\":)\\[[^\\]]*\\]");

  private static Stream<QuantCases.Case> cases() {
    return QuantCases.cases().stream();
  }

  @ParameterizedTest
  @MethodSource("cases")
  void readsOrRefusesInOneLine(QuantCases.Case quantized, @TempDir Path folder) throws IOException {
    QuantFormatsTest.write(quantized, folder);
    Path configFile = folder.resolve("config.json");
    Path weightsFile = folder.resolve("model.safetensors");
    String config = Files.readString(configFile);
    byte[] weights = Files.readAllBytes(weightsFile);
    assertThat(refusal(folder)).as("undamaged").isEmpty();
    Random random = new Random(SEED + quantized.name().hashCode());
    int refused = 0;
    for (int round = 0; round < ROUNDS; round++) {
      boolean inConfig = random.nextInt(3) == 0;
      String damaged = inConfig ? damagedText(config, random) : config;
      Files.writeString(configFile, damaged);
      Files.write(weightsFile, inConfig ? weights : damagedWeights(weights, random));
      String message;
      try {
        message = refusal(folder);
      } catch (RuntimeException | StackOverflowError | AssertionError e) {
        throw new AssertionError(
            "%s, round %d of seed %d; config %s".formatted(quantized, round, SEED, damaged), e);
      }
      refused += message.isEmpty() ? 0 : 1;
      assertThat(message).as("one line").doesNotContain("\n").hasSizeLessThan(2_000);
    }
    assertThat(refused).as("refused of %d damaged ones", ROUNDS).isGreaterThan(ROUNDS / 4);
  }

  /** The message with which the checkpoint is refused, empty if it is read. */
  private static String refusal(Path folder) {
    try {
      MoeLayer layer = Synthetic.open(folder).layer(0);
      try (LayerTensors tensors = layer.open(Synthetic.CONF);
          Arena arena = Arena.ofConfined()) {
        layer.formats();
        for (int e = 0; e < layer.spec().experts(); e++) {
          tensors.expert(e, arena);
        }
      }
      return "";
    } catch (InputException e) {
      return e.getMessage();
    }
  }

  private static byte[] damagedWeights(byte[] weights, Random random) {
    int length = (int) ByteBuffer.wrap(weights).order(ByteOrder.LITTLE_ENDIAN).getLong();
    byte[] data = Arrays.copyOfRange(weights, 8 + length, weights.length);
    String header = new String(weights, 8, length, StandardCharsets.UTF_8);
    switch (random.nextInt(6)) {
      case 0 -> {
        for (int i = random.nextInt(20); i >= 0; i--) {
          data[random.nextInt(data.length)] = (byte) random.nextInt(256);
        }
      }
      case 1 -> {
        // runs of one byte: zeros, NaNs, scales out of range
        int from = random.nextInt(data.length);
        byte value = (byte) List.of(0, 0x7F, 0x80, 0xFF).get(random.nextInt(4)).intValue();
        Arrays.fill(data, from, Math.min(data.length, from + random.nextInt(4096)), value);
      }
      case 2 -> data = Arrays.copyOf(data, random.nextInt(data.length));
      case 3 -> header = replaced(header, TYPE, random, QuantFuzzTest::otherType);
      case 4 -> header = replaced(header, SHAPE, random, QuantFuzzTest::otherShape);
      default -> header = damagedText(header, random);
    }
    byte[] text = header.getBytes(StandardCharsets.UTF_8);
    return ByteBuffer.allocate(8 + text.length + data.length)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(text.length)
        .put(text)
        .put(data)
        .array();
  }

  private static String damagedText(String text, Random random) {
    return switch (random.nextInt(4)) {
      case 0 -> {
        int at = random.nextInt(text.length());
        char other = CHARACTERS.charAt(random.nextInt(CHARACTERS.length()));
        yield text.substring(0, at) + other + text.substring(at + 1);
      }
      case 1 -> replaced(text, NUMBER, random, (old, r) -> NUMBERS.get(r.nextInt(NUMBERS.size())));
      case 2 -> replaced(text, WORD, random, (old, r) -> WORDS.get(r.nextInt(WORDS.size())));
      default -> {
        int from = random.nextInt(text.length());
        yield text.substring(0, from)
            + text.substring(Math.min(text.length(), from + 1 + random.nextInt(12)));
      }
    };
  }

  /** What stands for a match. */
  private interface Other {
    String of(String match, Random random);
  }

  private static String replaced(String text, Pattern pattern, Random random, Other other) {
    List<MatchResult> matches = new ArrayList<>(pattern.matcher(text).results().toList());
    if (matches.isEmpty()) {
      return text;
    }
    MatchResult match = matches.get(random.nextInt(matches.size()));
    return text.substring(0, match.start())
        + other.of(match.group(), random)
        + text.substring(match.end());
  }

  private static String otherType(String type, Random random) {
    for (List<String> alike : TYPES) {
      if (alike.contains(type)) {
        return alike.get(random.nextInt(alike.size()));
      }
    }
    return type;
  }

  private static String otherShape(String shape, Random random) {
    List<String> sizes =
        new ArrayList<>(
            Arrays.stream(shape.substring(1, shape.length() - 1).split(", ?"))
                .filter(size -> !size.isEmpty())
                .toList());
    switch (random.nextInt(3)) {
      case 0 -> sizes = sizes.reversed();
      case 1 -> sizes.add(random.nextInt(sizes.size() + 1), "1");
      default -> {
        long product = sizes.stream().mapToLong(Long::parseLong).reduce(1, (a, b) -> a * b);
        sizes = List.of(Long.toString(product));
      }
    }
    return "[" + String.join(", ", sizes) + "]";
  }
}
