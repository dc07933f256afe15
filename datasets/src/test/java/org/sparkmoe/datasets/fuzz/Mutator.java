package org.sparkmoe.datasets.fuzz;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

/** Damages bytes and JSON, as a seed says. */
final class Mutator {
  private static final long[] LENGTHS = {
    0,
    1,
    -1,
    7,
    8,
    255,
    256,
    65_535,
    1 << 20,
    1 << 30,
    Integer.MAX_VALUE,
    Integer.MIN_VALUE,
    1L << 31,
    1L << 32,
    1L << 40,
    Long.MAX_VALUE,
    Long.MIN_VALUE,
    Long.MAX_VALUE - 7
  };
  private static final String[] NUMBERS = {
    "0",
    "-1",
    "1",
    "3",
    "17",
    "64",
    "65536",
    "2147483647",
    "2147483648",
    "-2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "1e999",
    "1e308",
    "-1e-400",
    "NaN",
    "Infinity",
    "1.5",
    "null",
    "true",
    "[]",
    "{}",
    "\"x\"",
    "9".repeat(1000),
    "0".repeat(300)
  };
  private static final String[] STRINGS = {
    "",
    "..",
    "../../../../etc/passwd",
    "/etc/passwd",
    "..\\\\x.safetensors",
    "file:///etc/passwd",
    "../x.safetensors",
    "a/b.safetensors",
    "model.safetensors",
    "F8_E4M3",
    "F64",
    "BOOL",
    "I4",
    "\\u0000",
    "\\ud800",
    "%s%n",
    "${env:HOME}",
    "sigmoid",
    "softmax",
    "gelu",
    "mixtral",
    "llama",
    "fp8",
    "gptq",
    "awq",
    "modelopt",
    "compressed-tensors",
    "mxfp4",
    "x".repeat(3_000)
  };
  private static final Pattern NUMBER =
      Pattern.compile("(?<=[:,\\[])\\s*-?[0-9][0-9.eE+-]*(?=[,\\]}\\s])");
  private static final Pattern STRING = Pattern.compile("(?<=\")[^\"\\\\{}]{1,100}(?=\")");
  private static final Pattern MEMBER =
      Pattern.compile(
          "\"[^\"\\\\]{1,100}\"\\s*:\\s*(?:\"[^\"]*\"|\\[[^\\]\\[{}]*\\]|[^,\\[{}\"]+)");

  private final Random random;

  Mutator(long seed) {
    this.random = new Random(seed);
  }

  int below(int bound) {
    return random.nextInt(bound);
  }

  /** One to four changes. */
  byte[] bytes(byte[] whole, List<byte[]> others) {
    byte[] bytes = whole;
    for (int n = below(4); n >= 0; n--) {
      bytes = changed(bytes, others);
    }
    return bytes;
  }

  private byte[] changed(byte[] whole, List<byte[]> others) {
    if (whole.length == 0) {
      return others.get(below(others.size()));
    }
    int at = below(whole.length);
    int length = Math.min(1 + below(64), whole.length - at);
    byte[] bytes = whole.clone();
    return switch (below(8)) {
      case 0 -> {
        bytes[at] ^= (byte) (1 << below(8));
        yield bytes;
      }
      case 1 -> {
        byte[] values = {0, 1, -1, 0x7F, (byte) 0x80, (byte) random.nextInt()};
        bytes[at] = values[below(values.length)];
        yield bytes;
      }
      case 2 -> Arrays.copyOf(bytes, at);
      case 3 -> joined(bytes, at, new byte[length], at);
      case 4 -> joined(bytes, at, new byte[0], at + length);
      case 5 -> joined(bytes, at, Arrays.copyOfRange(bytes, at, at + length), at);
      case 6 -> {
        byte[] other = others.get(below(others.size()));
        int from = below(Math.max(1, other.length));
        byte[] piece = Arrays.copyOfRange(other, from, Math.min(other.length, from + length));
        yield joined(bytes, at, piece, Math.min(bytes.length, at + piece.length));
      }
      default -> length(bytes);
    };
  }

  /** Another number where a length may be. */
  private byte[] length(byte[] bytes) {
    long value = LENGTHS[below(LENGTHS.length)];
    int width = below(2) == 0 ? 4 : 8;
    if (bytes.length >= width) {
      int at = below((bytes.length - width) / 4 + 1) * 4;
      ByteBuffer file = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
      if (width == 4) {
        file.putInt(at, (int) value);
      } else {
        file.putLong(at, value);
      }
    }
    return bytes;
  }

  /** One to three changes of JSON. */
  byte[] json(byte[] whole, List<byte[]> others) {
    if (below(5) == 0) {
      return bytes(whole, others);
    }
    String text = new String(whole, StandardCharsets.UTF_8);
    for (int n = below(3); n >= 0; n--) {
      text = changed(text);
    }
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private String changed(String text) {
    return switch (below(8)) {
      case 0, 1, 2 -> replaced(text, NUMBER, NUMBERS[below(NUMBERS.length)]);
      case 3, 4 -> replaced(text, STRING, STRINGS[below(STRINGS.length)]);
      case 5 -> repeatedMember(text);
      case 6 -> replaced(text, NUMBER, nested());
      default -> replaced(text, MEMBER, "\"x\":" + NUMBERS[below(NUMBERS.length)]);
    };
  }

  private String nested() {
    int depth = below(50) == 0 ? 50_000 : new int[] {2, 20, 70, 200}[below(4)];
    return below(2) == 0
        ? "[".repeat(depth) + "]".repeat(below(2) * depth)
        : "{\"a\":".repeat(depth) + "1" + "}".repeat(below(2) * depth);
  }

  private String repeatedMember(String text) {
    List<MatchResult> members = MEMBER.matcher(text).results().toList();
    if (members.isEmpty()) {
      return text + text;
    }
    MatchResult member = members.get(below(members.size()));
    return text.substring(0, member.end()) + "," + member.group() + text.substring(member.end());
  }

  private String replaced(String text, Pattern pattern, String with) {
    List<MatchResult> found = pattern.matcher(text).results().toList();
    if (found.isEmpty()) {
      return with + text;
    }
    MatchResult match = found.get(below(found.size()));
    return text.substring(0, match.start()) + with + text.substring(match.end());
  }

  private static byte[] joined(byte[] bytes, int to, byte[] middle, int from) {
    byte[] all = Arrays.copyOf(bytes, to + middle.length + bytes.length - from);
    System.arraycopy(middle, 0, all, to, middle.length);
    System.arraycopy(bytes, from, all, to + middle.length, bytes.length - from);
    return all;
  }
}
