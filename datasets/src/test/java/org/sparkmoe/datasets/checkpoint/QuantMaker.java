package org.sparkmoe.datasets.checkpoint;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Random;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;
import org.sparkmoe.kernels.tensor.DType;

/**
 * Makes the tensors of quantized linear maps from codes, scales and zero points drawn at random,
 * and says which weights they stand for. Packs one code after the other, bit by bit, so that it has
 * nothing in common with what unpacks.
 */
@FunctionalInterface
interface QuantMaker {
  /** Adds a linear map's tensors. Its weights, N × K. */
  double[][] add(SafetensorsWriter to, String linear, int rows, int cols, Random random);

  /** A value that bf16 and f16 hold, for scales. */
  static float scale(Random random) {
    return (1 + random.nextInt(64)) / 4096f;
  }

  /** Bits {@code value} at bit {@code at} of an array of bytes. */
  static void put(byte[] to, long at, int bits, int value) {
    for (int bit = 0; bit < bits; bit++) {
      long position = at + bit;
      if ((value >> bit & 1) == 1) {
        to[(int) (position / 8)] |= (byte) (1 << position % 8);
      }
    }
  }

  static byte[] ints(int... values) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    for (int value : values) {
      bytes.putInt(value);
    }
    return bytes.array();
  }

  static double e4m3(int code) {
    int exponent = code >> 3 & 15;
    double magnitude =
        exponent == 0
            ? (code & 7) * Math.pow(2, -9)
            : (8 + (code & 7)) * Math.pow(2, exponent - 10);
    return (code & 128) == 0 ? magnitude : -magnitude;
  }

  static double e2m1(int code) {
    int exponent = code >> 1 & 3;
    double magnitude =
        exponent == 0 ? (code & 1) * 0.5 : (2 + (code & 1)) * Math.pow(2, exponent - 2);
    return (code & 8) == 0 ? magnitude : -magnitude;
  }

  /** Unquantized bf16. */
  static QuantMaker plain() {
    return (to, linear, rows, cols, random) -> {
      float[] values = new float[rows * cols];
      double[][] weights = new double[rows][cols];
      for (int i = 0; i < values.length; i++) {
        values[i] = scale(random);
        weights[i / cols][i % cols] = values[i];
      }
      to.addFloats(linear + ".weight", DType.BF16, values, rows, cols);
      return weights;
    };
  }

  /** How scales are stored. */
  enum Scales {
    F32,
    BF16,
    /** Powers of two with a type of their own. */
    E8M0,
    /** Powers of two as plain bytes. */
    BYTES;

    /** Adds a tensor of random scales. Their values. */
    double[] add(SafetensorsWriter to, String name, int count, Random random, long... shape) {
      double[] values = new double[count];
      if (this == F32 || this == BF16) {
        float[] floats = new float[count];
        for (int i = 0; i < count; i++) {
          floats[i] = scale(random);
          values[i] = floats[i];
        }
        to.addFloats(name, DType.valueOf(name()), floats, shape);
        return values;
      }
      byte[] bytes = new byte[count];
      for (int i = 0; i < count; i++) {
        bytes[i] = (byte) (118 + random.nextInt(12));
        values[i] = Math.pow(2, (bytes[i] & 255) - 127);
      }
      to.add(name, this == E8M0 ? SafetensorsDType.F8_E8M0 : SafetensorsDType.U8, bytes, shape);
      return values;
    }
  }

  /**
   * Codes of a byte with a grid of scales.
   *
   * @param integers int8 or else e4m3
   * @param down rows to a scale, at most all
   * @param across columns to a scale, at most all
   * @param dimensions of the scales' tensor: 0, 1, 2 or 4
   */
  static QuantMaker grid(
      boolean integers, Scales scales, String suffix, int down, int across, int dimensions) {
    return (to, linear, rows, cols, random) -> {
      int high = (rows + Math.min(down, rows) - 1) / Math.min(down, rows);
      int wide = (cols + Math.min(across, cols) - 1) / Math.min(across, cols);
      long[] shape =
          switch (dimensions) {
            case 0 -> new long[] {};
            case 1 -> new long[] {(long) high * wide};
            case 2 -> new long[] {high, wide};
            default -> new long[] {high, 1, wide, 1};
          };
      double[] factors = scales.add(to, linear + "." + suffix, high * wide, random, shape);
      byte[] codes = new byte[rows * cols];
      double[][] weights = new double[rows][cols];
      for (int n = 0; n < rows; n++) {
        for (int k = 0; k < cols; k++) {
          int code = random.nextInt(256);
          code = !integers && (code & 127) == 127 ? 5 : code;
          codes[n * cols + k] = (byte) code;
          double value = integers ? (byte) code : e4m3(code);
          weights[n][k] = value * factors[n / Math.min(down, rows) * wide + k / across];
        }
      }
      to.add(
          linear + ".weight",
          integers ? SafetensorsDType.I8 : SafetensorsDType.F8_E4M3,
          codes,
          rows,
          cols);
      return weights;
    };
  }

  /**
   * compressed-tensors' words.
   *
   * @param group columns to a scale, or 0 for all
   */
  static QuantMaker packed(int bits, int group, boolean zeros, boolean ordered) {
    return (to, linear, rows, cols, random) -> {
      int span = group == 0 ? cols : group;
      int groups = (cols + span - 1) / span;
      int[] groupOf = groupsOf(cols, span, ordered ? random : null);
      double[] scales =
          Scales.BF16.add(to, linear + ".weight_scale", rows * groups, random, rows, groups);
      int[] zero = new int[rows * groups];
      int words = (cols * bits + 31) / 32;
      int zeroWords = (rows * bits + 31) / 32;
      byte[] packed = new byte[rows * words * 4];
      byte[] packedZeros = new byte[zeroWords * groups * 4];
      double[][] weights = new double[rows][cols];
      for (int n = 0; n < rows; n++) {
        for (int g = 0; g < groups; g++) {
          zero[n * groups + g] = zeros ? random.nextInt(1 << bits) : 1 << (bits - 1);
          long word = (long) (n * bits / 32) * groups + g;
          put(packedZeros, word * 32 + (long) n * bits % 32, bits, zero[n * groups + g]);
        }
        for (int k = 0; k < cols; k++) {
          int code = random.nextInt(1 << bits);
          put(packed, (long) n * words * 32 + (long) k * bits, bits, code);
          int g = n * groups + groupOf[k];
          weights[n][k] = (code - zero[g]) * scales[g];
        }
      }
      to.add(linear + ".weight_packed", SafetensorsDType.I32, packed, rows, words);
      if (zeros) {
        to.add(linear + ".weight_zero_point", SafetensorsDType.I32, packedZeros, zeroWords, groups);
      }
      if (ordered) {
        to.add(linear + ".weight_g_idx", SafetensorsDType.I32, ints(groupOf), cols);
      }
      byte[] shape = new byte[16];
      ByteBuffer.wrap(shape).order(ByteOrder.LITTLE_ENDIAN).putLong(rows).putLong(cols);
      to.add(linear + ".weight_shape", SafetensorsDType.I64, shape, 2);
      return weights;
    };
  }

  /** Groups by position, or shuffled. */
  private static int[] groupsOf(int cols, int span, Random randomOrNull) {
    int[] groupOf = new int[cols];
    for (int k = 0; k < cols; k++) {
      groupOf[k] = k / span;
    }
    if (randomOrNull != null) {
      for (int k = cols - 1; k > 0; k--) {
        int other = randomOrNull.nextInt(k + 1);
        int kept = groupOf[k];
        groupOf[k] = groupOf[other];
        groupOf[other] = kept;
      }
    }
    return groupOf;
  }

  /**
   * GPTQ.
   *
   * @param stored what is stored of the zero point: the lowest bits of it, plus this
   */
  static QuantMaker gptq(int bits, int group, boolean symmetric, int stored, boolean ordered) {
    return (to, linear, rows, cols, random) -> {
      int span = group == 0 ? cols : group;
      int groups = (cols + span - 1) / span;
      int[] groupOf = groupsOf(cols, span, ordered ? random : null);
      double[] scales =
          Scales.BF16.add(to, linear + ".scales", rows * groups, random, groups, rows);
      byte[] qweight = new byte[rows * cols * bits / 8];
      byte[] qzeros = new byte[rows * groups * bits / 8];
      int[] zero = new int[groups * rows];
      for (int i = 0; i < zero.length; i++) {
        // the first is 0, of which version 1 stores all bits
        zero[i] = symmetric ? 1 << (bits - 1) : i == 0 ? 0 : random.nextInt(1 << bits);
        put(qzeros, (long) i * bits, bits, zero[i] + stored);
      }
      int perWord = 32 / bits;
      double[][] weights = new double[rows][cols];
      for (int n = 0; n < rows; n++) {
        for (int k = 0; k < cols; k++) {
          int code = random.nextInt(1 << bits);
          long word = (long) (k / perWord) * rows + n;
          put(qweight, word * 32 + (long) k % perWord * bits, bits, code);
          int g = groupOf[k] * rows + n;
          weights[n][k] = (code - zero[g]) * scales[g];
        }
      }
      to.add(linear + ".qweight", SafetensorsDType.I32, qweight, cols / perWord, rows);
      to.add(linear + ".qzeros", SafetensorsDType.I32, qzeros, groups, rows / perWord);
      to.add(linear + ".g_idx", SafetensorsDType.I32, ints(groupOf), cols);
      return weights;
    };
  }

  /**
   * AWQ with the order of its kernels: from the lowest bits up, the even outputs of a word and then
   * the odd ones.
   */
  static QuantMaker awq(int bits, int group) {
    return (to, linear, rows, cols, random) -> {
      int groups = (cols + group - 1) / group;
      double[] scales = Scales.F32.add(to, linear + ".scales", rows * groups, random, groups, rows);
      byte[] qweight = new byte[rows * cols * bits / 8];
      byte[] qzeros = new byte[rows * groups * bits / 8];
      double[][] weights = new double[rows][cols];
      int[][] zero = new int[groups][rows];
      int perWord = 32 / bits;
      for (int n = 0; n < rows; n++) {
        int in = n % perWord;
        int place = n - in + in % 2 * (perWord / 2) + in / 2;
        for (int g = 0; g < groups; g++) {
          zero[g][n] = random.nextInt(1 << bits);
          put(qzeros, ((long) g * rows + place) * bits, bits, zero[g][n]);
        }
        for (int k = 0; k < cols; k++) {
          int code = random.nextInt(1 << bits);
          put(qweight, ((long) k * rows + place) * bits, bits, code);
          int g = k / group;
          weights[n][k] = (code - zero[g][n]) * scales[g * rows + n];
        }
      }
      to.add(linear + ".qweight", SafetensorsDType.I32, qweight, cols, rows / perWord);
      to.add(linear + ".qzeros", SafetensorsDType.I32, qzeros, groups, rows / perWord);
      return weights;
    };
  }

  /**
   * Int8 codes and int8 zero points of compressed-tensors.
   *
   * @param down rows to a scale, at most all
   * @param across columns to a scale, at most all
   */
  static QuantMaker int8(int down, int across, boolean zeros, boolean ordered) {
    return (to, linear, rows, cols, random) -> {
      int high = (rows + Math.min(down, rows) - 1) / Math.min(down, rows);
      int wide = (cols + Math.min(across, cols) - 1) / Math.min(across, cols);
      long[] shape = high * wide == 1 ? new long[] {1} : new long[] {high, wide};
      double[] scales = Scales.BF16.add(to, linear + ".weight_scale", high * wide, random, shape);
      int[] groupOf = groupsOf(cols, Math.min(across, cols), ordered ? random : null);
      byte[] zero = new byte[high * wide];
      if (zeros) {
        random.nextBytes(zero);
        zero[0] = -128;
        to.add(linear + ".weight_zero_point", SafetensorsDType.I8, zero, shape);
      }
      if (ordered) {
        to.add(linear + ".weight_g_idx", SafetensorsDType.I32, ints(groupOf), cols);
      }
      byte[] codes = new byte[rows * cols];
      random.nextBytes(codes);
      double[][] weights = new double[rows][cols];
      for (int n = 0; n < rows; n++) {
        for (int k = 0; k < cols; k++) {
          int g = n / Math.min(down, rows) * wide + groupOf[k];
          weights[n][k] = (codes[n * cols + k] - zero[g]) * scales[g];
        }
      }
      to.add(linear + ".weight", SafetensorsDType.I8, codes, rows, cols);
      return weights;
    };
  }

  /** Int4 of SGLang, two in a byte, with a scale for each 128 inputs. */
  static QuantMaker int4() {
    return (to, linear, rows, cols, random) -> {
      int groups = cols / 128;
      double[] scales =
          Scales.BF16.add(to, linear + ".weight_scale_inv", rows * groups, random, rows, groups);
      byte[] packed = new byte[rows * cols / 2];
      double[][] weights = new double[rows][cols];
      for (int n = 0; n < rows; n++) {
        for (int k = 0; k < cols; k++) {
          int value = random.nextInt(16) - 8;
          put(packed, ((long) n * cols + k) * 4, 4, value);
          weights[n][k] = value * scales[n * groups + k / 128];
        }
      }
      to.add(linear + ".weight", SafetensorsDType.I8, packed, rows, cols / 2);
      return weights;
    };
  }

  /**
   * Pairs of e2m1.
   *
   * @param global suffix of the scale for the tensor, or empty for MXFP4
   * @param inverted whether that is one over the scale
   */
  static QuantMaker fp4(String codes, String global, boolean inverted) {
    return (to, linear, rows, cols, random) -> {
      boolean mx = global.isEmpty();
      int span = mx ? 32 : 16;
      int groups = cols / span;
      double[] scales = new double[rows * groups];
      double factor = 1;
      if (mx) {
        scales =
            Scales.BYTES.add(to, linear + ".weight_scale", scales.length, random, rows, groups);
      } else {
        byte[] bytes = new byte[scales.length];
        for (int i = 0; i < bytes.length; i++) {
          // 0 among them: a block of zeros
          bytes[i] = (byte) random.nextInt(127);
          scales[i] = e4m3(bytes[i]);
        }
        to.add(linear + ".weight_scale", SafetensorsDType.F8_E4M3, bytes, rows, groups);
        float stored = inverted ? 1000 + random.nextInt(1000) : scale(random);
        factor = inverted ? 1.0 / stored : stored;
        to.addFloats(linear + "." + global, new float[] {stored});
      }
      byte[] packed = new byte[rows * cols / 2];
      double[][] weights = new double[rows][cols];
      for (int n = 0; n < rows; n++) {
        for (int k = 0; k < cols; k++) {
          int code = random.nextInt(16);
          put(packed, ((long) n * cols + k) * 4, 4, code);
          weights[n][k] = e2m1(code) * scales[n * groups + k / span] * factor;
        }
      }
      to.add(linear + "." + codes, SafetensorsDType.U8, packed, rows, cols / 2);
      return weights;
    };
  }

  /** With a scalar of this value beside each map. */
  default QuantMaker with(String suffix, double... values) {
    return (to, linear, rows, cols, random) -> {
      float value = (float) values[random.nextInt(values.length)];
      to.addFloats(linear + "." + suffix, new float[] {value}, 1);
      return add(to, linear, rows, cols, random);
    };
  }
}
