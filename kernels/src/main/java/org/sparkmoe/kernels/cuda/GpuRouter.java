package org.sparkmoe.kernels.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;

/**
 * The router of a layer in the memory of a GPU. Its logits are those of the scalar backend, bit for
 * bit: sums of f64 in the order of k, rounded to f32 once.
 *
 * @param hidden H
 * @param memory holds all three, as long as its arena
 * @param router address, E × H f32
 * @param bias address, E f32; 0 where there is none
 * @param selectionBias address, E f32; 0 where there is none
 */
public record GpuRouter(
    GpuRouting rule, int hidden, MemorySegment memory, long router, long bias, long selectionBias) {
  private static final int THREADS = 256;
  private static final int CHOOSING_WARPS = 4;
  private static final int NUMBERS_PER_EXPERT = 3;

  /**
   * Copies a router to {@code gpu}.
   *
   * @param router E × H, of any type
   * @param arena owns the memory on the GPU
   */
  public static GpuRouter upload(
      Gpu gpu,
      GpuRouting rule,
      Matrix router,
      float[] biasOrNull,
      float[] selectionBiasOrNull,
      Arena arena) {
    try (Arena staging = Arena.ofConfined()) {
      int experts = router.rows();
      MemorySegment memory = gpu.allocate(bytes(experts, router.cols()), arena);
      MemorySegment image = staging.allocate(memory.byteSize(), Float.BYTES);
      long count = (long) experts * router.cols();
      for (long i = 0; i < count; i++) {
        DType.F32.set(image, i, router.dtype().get(router.data(), i));
      }
      long bias = Gpu.aligned(DType.F32.bytes(count));
      long selection = bias + GpuShape.biasBytes(experts);
      put(biasOrNull, image, bias);
      put(selectionBiasOrNull, image, selection);
      gpu.upload(image, memory.address());
      return new GpuRouter(
          rule,
          router.cols(),
          memory,
          memory.address(),
          biasOrNull == null ? 0 : memory.address() + bias,
          selectionBiasOrNull == null ? 0 : memory.address() + selection);
    }
  }

  private static void put(float[] valuesOrNull, MemorySegment image, long at) {
    if (valuesOrNull != null) {
      MemorySegment.copy(valuesOrNull, 0, image, DType.LE_FLOAT, at, valuesOrNull.length);
    }
  }

  /** Bytes of a router with both biases on the GPU. */
  public static long bytes(int experts, int hidden) {
    return Gpu.aligned(DType.F32.bytes((long) experts * hidden)) + 2 * GpuShape.biasBytes(experts);
  }

  /**
   * Starts routing.
   *
   * @param x address, tokens × H
   * @param logits address with room for tokens × E f32
   * @param ids receives tokens × k
   * @param weights receives tokens × k f32
   */
  void launch(
      Stream stream,
      RouterKernels kernels,
      int tokens,
      long x,
      DType type,
      long logits,
      long ids,
      long weights) {
    RouterKernels.Logits tiles = kernels.logits(tokens, rule.experts());
    stream.launch(
        tiles.byType().get(type),
        tiles.tokenTiles(tokens),
        RouterKernels.expertTiles(rule.experts()),
        THREADS,
        0,
        x,
        router,
        bias,
        logits,
        tokens,
        rule.experts(),
        hidden);
    try (Arena arena = Arena.ofConfined()) {
      stream.launch(
          kernels.choose(),
          Math.ceilDiv(tokens, CHOOSING_WARPS),
          1,
          CHOOSING_WARPS * 32,
          CHOOSING_WARPS * NUMBERS_PER_EXPERT * rule.experts() * Double.BYTES,
          logits,
          selectionBias,
          ids,
          weights,
          tokens,
          rule.argument(arena));
    }
  }
}
