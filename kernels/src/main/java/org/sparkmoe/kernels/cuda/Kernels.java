package org.sparkmoe.kernels.cuda;

import java.util.EnumMap;
import java.util.Map;
import org.sparkmoe.kernels.cuda.PtxModule.Kernel;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.WeightFormat;

/**
 * Our kernels for one GPU.
 *
 * @param plain products by type of the weights
 * @param quantized products by type of the codes
 * @param pad rounds rows to the type of the weights
 * @param combine weighs and sums over slots
 * @param scatter brings rows to the order of the assignments
 */
record Kernels(
    Map<DType, Products> plain,
    Map<CodeType, Products> quantized,
    Map<DType, Kernel> pad,
    Kernel combine,
    Kernel scatter) {
  static final String PORTABLE = "experts.ptx";
  static final String CODED = "coded.ptx";
  static final String HOPPER = "hopper.ptx";

  /** Loads those that run fastest on the GPU of the current context. */
  static Kernels load(Driver driver, DeviceInfo info, Owned owned) {
    PtxModule portable = PtxModule.load(driver, PORTABLE, owned);
    Map<DType, Products> products = new EnumMap<>(DType.class);
    Map<DType, Kernel> pad = new EnumMap<>(DType.class);
    for (DType type : DType.values()) {
      products.put(type, new PortableProducts(portable, type));
      pad.put(type, portable.kernel("pad", type, 0));
    }
    if (info.isHopper()) {
      PtxModule hopper = PtxModule.load(driver, HOPPER, owned);
      Kernel gather = portable.kernel("gather", 0);
      for (DType type : new DType[] {DType.BF16, DType.F16}) {
        products.put(type, new HopperProducts(hopper, gather, type, info.multiprocessors()));
      }
    }
    PtxModule coded = PtxModule.load(driver, CODED, owned);
    Map<CodeType, Products> quantized = new EnumMap<>(CodeType.class);
    for (CodeType codes : CodeType.values()) {
      quantized.put(codes, new QuantProducts(coded, codes));
    }
    return new Kernels(
        products, quantized, pad, portable.kernel("combine", 0), portable.kernel("scatter", 0));
  }

  /** Both products for weights stored as {@code format}. */
  Products products(WeightFormat format) {
    return switch (format) {
      case DType type -> plain.get(type);
      case QuantFormat coded -> quantized.get(coded.codes());
    };
  }
}
