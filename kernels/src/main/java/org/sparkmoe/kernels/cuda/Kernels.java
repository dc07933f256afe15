package org.sparkmoe.kernels.cuda;

import java.util.EnumMap;
import java.util.Map;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.WeightFormat;

/**
 * Our kernels for one GPU.
 *
 * @param plain products by type of the weights
 * @param quantized products by type of the codes
 * @param tokens what happens to tokens around them
 */
record Kernels(Map<DType, Products> plain, Map<CodeType, Products> quantized, TokenKernels tokens) {
  static final String PORTABLE = "experts.ptx";
  static final String CODED = "coded.ptx";
  static final String HOPPER = "hopper.ptx";

  /** Loads those that run fastest on the GPU of the current context. */
  static Kernels load(Driver driver, DeviceInfo info, Owned owned) {
    PtxModule portable = PtxModule.load(driver, PORTABLE, owned);
    Map<DType, Products> products = new EnumMap<>(DType.class);
    TokenKernels tokens = TokenKernels.load(driver, owned);
    for (DType type : DType.values()) {
      products.put(type, new PortableProducts(portable, type));
    }
    if (info.isHopper()) {
      PtxModule hopper = PtxModule.load(driver, HOPPER, owned);
      for (DType type : new DType[] {DType.BF16, DType.F16}) {
        products.put(
            type, new HopperProducts(hopper, tokens.gather(), type, info.multiprocessors()));
      }
    }
    PtxModule coded = PtxModule.load(driver, CODED, owned);
    Map<CodeType, Products> quantized = new EnumMap<>(CodeType.class);
    for (CodeType codes : CodeType.values()) {
      quantized.put(codes, new QuantProducts(coded, codes));
    }
    return new Kernels(products, quantized, tokens);
  }

  /** Both products for weights stored as {@code format}. */
  Products products(WeightFormat format) {
    return switch (format) {
      case DType type -> plain.get(type);
      case QuantFormat coded -> quantized.get(coded.codes());
    };
  }
}
