package org.sparkmoe.kernels.gemm;

import static org.sparkmoe.kernels.simd.Simd.INTS;
import static org.sparkmoe.kernels.simd.Simd.LANES;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import org.sparkmoe.kernels.onednn.PairedOrder;
import org.sparkmoe.kernels.onednn.StripPlan;

/** Rounds f32 weights to bf16, nearest even, and pairs those of neighbouring inputs. */
final class Bf16Pairs {
  private static final int WIDTH = StripPlan.WIDTH;
  private static final long ROW = WIDTH * Float.BYTES;
  private static final int HIGH = 0xFFFF0000;
  private static final int INFINITY = 0x7F800000;
  private static final int MAGNITUDE = 0x7FFFFFFF;
  private static final int QUIET = 0x7FC00000;

  private Bf16Pairs() {}

  /**
   * Rounds a strip.
   *
   * @param wide depth × 64 f32; rows up to the next multiple of the order's depth block are
   *     overwritten
   * @param order where pairs go, the lower input in the low half; inputs up to that multiple are 0
   */
  static void round(MemorySegment wide, int depth, MemorySegment pairs, PairedOrder order) {
    int end = Math.ceilDiv(depth, order.depthBlock()) * order.depthBlock();
    long rowOfBlock = (long) order.width() * Integer.BYTES;
    wide.asSlice(depth * ROW, (end - depth) * ROW).fill((byte) 0);
    for (int k = 0; k < end; k += 2) {
      for (int lane = 0; lane < WIDTH; lane += LANES) {
        long at = (long) lane * Float.BYTES;
        IntVector low = rounded(load(wide, k * ROW + at));
        IntVector high = rounded(load(wide, (k + 1) * ROW + at));
        long block = lane / order.width() * order.stride();
        long to = block + k / 2 * rowOfBlock + (long) (lane % order.width()) * Integer.BYTES;
        low.lanewise(VectorOperators.LSHR, 16)
            .or(high.and(HIGH))
            .intoMemorySegment(pairs, to, ByteOrder.LITTLE_ENDIAN);
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
