package org.sparkmoe.kernels.gemm;

import static org.sparkmoe.kernels.simd.Simd.INTS;
import static org.sparkmoe.kernels.simd.Simd.LANES;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import org.sparkmoe.kernels.onednn.StripPlan;

/** Rounds f32 weights to bf16, nearest even, and pairs those of neighbouring inputs. */
final class Bf16Pairs {
  private static final int WIDTH = StripPlan.WIDTH;
  private static final long ROW = WIDTH * Float.BYTES;
  private static final int HIGH = 0xFFFF0000;
  private static final int INFINITY = 0x7F800000;
  private static final int MAGNITUDE = 0x7FFFFFFF;
  private static final int QUIET = 0x7FC00000;

  /** Inputs to which a strip is filled up with 0. */
  static final int DEPTH_BLOCK = 64;

  private Bf16Pairs() {}

  /**
   * Rounds a strip.
   *
   * @param wide depth × 64 f32; rows up to the next multiple of {@link #DEPTH_BLOCK} are
   *     overwritten
   * @param pairs receives ⌈depth / 2⌉ × 64 pairs, the lower input in the low half, and zeros up to
   *     that multiple
   */
  static void round(MemorySegment wide, int depth, MemorySegment pairs) {
    int end = Math.ceilDiv(depth, DEPTH_BLOCK) * DEPTH_BLOCK;
    wide.asSlice(depth * ROW, (end - depth) * ROW).fill((byte) 0);
    for (int k = 0; k < end; k += 2) {
      for (int lane = 0; lane < WIDTH; lane += LANES) {
        long at = (long) lane * Float.BYTES;
        IntVector low = rounded(load(wide, k * ROW + at));
        IntVector high = rounded(load(wide, (k + 1) * ROW + at));
        low.lanewise(VectorOperators.LSHR, 16)
            .or(high.and(HIGH))
            .intoMemorySegment(pairs, k / 2 * ROW + at, ByteOrder.LITTLE_ENDIAN);
      }
    }
  }

  /** The bf16 in the upper half. */
  private static IntVector rounded(IntVector bits) {
    IntVector lowestKept = bits.lanewise(VectorOperators.LSHR, 16).and(1);
    IntVector finite = bits.add(lowestKept).add(0x7FFF);
    return finite.blend(QUIET, bits.and(MAGNITUDE).compare(VectorOperators.GT, INFINITY));
  }

  private static IntVector load(MemorySegment values, long fromByte) {
    return IntVector.fromMemorySegment(INTS, values, fromByte, ByteOrder.LITTLE_ENDIAN);
  }
}
