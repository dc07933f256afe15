package org.sparkmoe.kernels.cuda;

import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import org.sparkmoe.kernels.cuda.PtxModule.Kernel;
import org.sparkmoe.kernels.tensor.DType;

/**
 * What happens to tokens around the products: the kernels of {@code tokens.cu} and {@code
 * router.cu}.
 *
 * @param pads rounds rows from the first type to the second, and pads them
 * @param count assignments by stretch and expert
 * @param placeStretches the first row of each
 * @param place rows of assignments, and tokens of rows
 * @param gather brings tokens into the order of the rows
 * @param combines weighs and sums over slots, by type of the result
 * @param scatter brings rows into the order of the assignments
 * @param manyLogits logits by type of the tokens, for batches that fill a GPU
 * @param fewLogits logits for others
 * @param choose ids and weights of logits
 */
record TokenKernels(
    Map<DType, Map<DType, Kernel>> pads,
    Kernel count,
    Kernel placeStretches,
    Kernel place,
    Kernel gather,
    Map<DType, Kernel> combines,
    Kernel scatter,
    Map<DType, Kernel> manyLogits,
    Map<DType, Kernel> fewLogits,
    Kernel choose) {
  static final String TOKENS = "tokens.ptx";
  static final String ROUTER = "router.ptx";

  static TokenKernels load(Driver driver, Owned owned) {
    PtxModule tokens = PtxModule.load(driver, TOKENS, owned);
    PtxModule router = PtxModule.load(driver, ROUTER, owned);
    Map<DType, Map<DType, Kernel>> pads = new EnumMap<>(DType.class);
    for (DType from : DType.values()) {
      pads.put(from, byType(tokens, "pad_" + from.name().toLowerCase(Locale.ROOT)));
    }
    return new TokenKernels(
        pads,
        tokens.kernel("count", 0),
        tokens.kernel("place_stretches", 0),
        tokens.kernel("place", 0),
        tokens.kernel("gather", 0),
        byType(tokens, "combine"),
        tokens.kernel("scatter", 0),
        byType(router, "logits_many"),
        byType(router, "logits_few"),
        router.kernel("choose", 0));
  }

  private static Map<DType, Kernel> byType(PtxModule module, String name) {
    Map<DType, Kernel> kernels = new EnumMap<>(DType.class);
    for (DType type : DType.values()) {
      kernels.put(type, module.kernel(name, type, 0));
    }
    return kernels;
  }
}
