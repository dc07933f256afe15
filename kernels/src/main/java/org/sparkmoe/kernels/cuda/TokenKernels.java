package org.sparkmoe.kernels.cuda;

import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import org.sparkmoe.kernels.cuda.PtxModule.Kernel;
import org.sparkmoe.kernels.tensor.DType;

/**
 * What happens to tokens around the products: the kernels of {@code tokens.cu}, and of the router.
 *
 * @param pads rounds rows from the first type to the second, and pads them
 * @param count assignments by stretch and expert
 * @param placeStretches the first row of each
 * @param place rows of assignments, and tokens of rows
 * @param fetch brings little from page-locked memory of the machine
 * @param gather brings tokens into the order of the rows
 * @param combines weighs and sums over slots, by type of the result
 * @param scatter brings rows into the order of the assignments
 * @param router chooses their experts
 */
record TokenKernels(
    Map<DType, Map<DType, Kernel>> pads,
    Kernel count,
    Kernel placeStretches,
    Kernel place,
    Kernel fetch,
    Kernel gather,
    Map<DType, Kernel> combines,
    Kernel scatter,
    RouterKernels router) {
  static final String TOKENS = "tokens.ptx";

  static TokenKernels load(Driver driver, DeviceInfo info, Owned owned) {
    PtxModule tokens = PtxModule.load(driver, TOKENS, owned);
    Map<DType, Map<DType, Kernel>> pads = new EnumMap<>(DType.class);
    for (DType from : DType.values()) {
      pads.put(from, byType(tokens, "pad_" + from.name().toLowerCase(Locale.ROOT)));
    }
    return new TokenKernels(
        pads,
        tokens.kernel("count", 0),
        tokens.kernel("place_stretches", 0),
        tokens.kernel("place", 0),
        tokens.kernel("fetch", 0),
        tokens.kernel("gather", 0),
        byType(tokens, "combine"),
        tokens.kernel("scatter", 0),
        RouterKernels.load(driver, info, owned));
  }

  private static Map<DType, Kernel> byType(PtxModule module, String name) {
    Map<DType, Kernel> kernels = new EnumMap<>(DType.class);
    for (DType type : DType.values()) {
      kernels.put(type, module.kernel(name, type, 0));
    }
    return kernels;
  }
}
