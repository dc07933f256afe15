package org.sparkmoe.kernels.cuda;

import java.util.EnumMap;
import java.util.Map;
import org.sparkmoe.kernels.cuda.PtxModule.Kernel;
import org.sparkmoe.kernels.tensor.DType;

/**
 * Our kernels for one GPU.
 *
 * @param products by type of the weights
 * @param pad rounds rows to the type of the weights
 * @param combine weighs and sums over slots
 * @param scatter brings rows to the order of the assignments
 */
record Kernels(
    Map<DType, Products> products, Map<DType, Kernel> pad, Kernel combine, Kernel scatter) {
  static final String PORTABLE = "experts.ptx";
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
    return new Kernels(products, pad, portable.kernel("combine", 0), portable.kernel("scatter", 0));
  }
}
