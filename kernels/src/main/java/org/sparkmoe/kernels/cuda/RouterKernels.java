package org.sparkmoe.kernels.cuda;

import java.util.EnumMap;
import java.util.Map;
import org.sparkmoe.kernels.cuda.PtxModule.Kernel;
import org.sparkmoe.kernels.tensor.DType;

/**
 * The kernels of {@code logits.cu} and {@code choice.cu}.
 *
 * @param many logits in large tiles
 * @param few logits in small ones
 * @param fromBlocks of large tiles, from which on they fill the GPU
 * @param choose ids and weights of logits
 */
record RouterKernels(Logits many, Logits few, int fromBlocks, Kernel choose) {
  static final String LOGITS = "logits.ptx";
  static final String CHOICE = "choice.ptx";

  private static final int TILE_EXPERTS = 64;
  private static final int MANY_TOKENS = 64;
  private static final int FEW_TOKENS = 16;
  private static final int FEW_TENSOR_TOKENS = 32;

  /**
   * Logits in tiles of {@code tokens} × 64 experts.
   *
   * @param byType of the tokens
   */
  record Logits(Map<DType, Kernel> byType, int tokens) {
    private static Logits of(PtxModule module, String name, int tokens) {
      Map<DType, Kernel> byType = new EnumMap<>(DType.class);
      for (DType type : DType.values()) {
        byType.put(type, module.kernel(name, type, 0));
      }
      return new Logits(byType, tokens);
    }

    int tokenTiles(int count) {
      return Math.ceilDiv(count, tokens);
    }
  }

  /** Those that are fastest on a GPU. Small tiles of the tensor cores are no slower for longer. */
  static RouterKernels load(Driver driver, DeviceInfo info, Owned owned) {
    PtxModule module = PtxModule.load(driver, LOGITS, owned);
    Kernel choose = PtxModule.load(driver, CHOICE, owned).kernel("choose", 0);
    return info.hasTensorCoresForF64()
        ? new RouterKernels(
            Logits.of(module, "logits_tensor_many", MANY_TOKENS),
            Logits.of(module, "logits_tensor_few", FEW_TENSOR_TOKENS),
            info.multiprocessors() * 3 / 2,
            choose)
        : new RouterKernels(
            Logits.of(module, "logits_many", MANY_TOKENS),
            Logits.of(module, "logits_few", FEW_TOKENS),
            info.multiprocessors() / 2,
            choose);
  }

  /** The kernels for a batch. */
  Logits logits(int tokens, int experts) {
    return (long) many.tokenTiles(tokens) * expertTiles(experts) < fromBlocks ? few : many;
  }

  static int expertTiles(int experts) {
    return Math.ceilDiv(experts, TILE_EXPERTS);
  }
}
