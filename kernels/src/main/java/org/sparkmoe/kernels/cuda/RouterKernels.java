package org.sparkmoe.kernels.cuda;

import java.util.EnumMap;
import java.util.Map;
import org.sparkmoe.kernels.cuda.PtxModule.Kernel;
import org.sparkmoe.kernels.tensor.DType;

/**
 * The kernels of {@code logits.cu} or {@code logits_tensor.cu}, and {@code choice.cu}.
 *
 * @param many logits in large tiles
 * @param few logits in small ones
 * @param fromBlocks of large tiles, from which on they fill the GPU
 * @param choose ids and weights of logits
 */
record RouterKernels(Logits many, Logits few, int fromBlocks, Kernel choose) {
  static final String LOGITS = "logits.ptx";
  static final String LOGITS_TENSOR = "logits_tensor.ptx";
  static final String LOGITS_HOPPER = "logits_hopper.ptx";
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
    boolean tensor = info.hasTensorCoresForF64();
    String tensorLogits = info.isHopper() ? LOGITS_HOPPER : LOGITS_TENSOR;
    PtxModule logits = PtxModule.load(driver, tensor ? tensorLogits : LOGITS, owned);
    int multiprocessors = info.multiprocessors();
    return new RouterKernels(
        Logits.of(logits, "logits_many", MANY_TOKENS),
        Logits.of(logits, "logits_few", tensor ? FEW_TENSOR_TOKENS : FEW_TOKENS),
        tensor ? multiprocessors * 3 / 2 : multiprocessors / 2,
        PtxModule.load(driver, CHOICE, owned).kernel("choose", 0));
  }

  /** The kernels for a batch. */
  Logits logits(int tokens, int experts) {
    return (long) many.tokenTiles(tokens) * expertTiles(experts) < fromBlocks ? few : many;
  }

  static int expertTiles(int experts) {
    return Math.ceilDiv(experts, TILE_EXPERTS);
  }
}
