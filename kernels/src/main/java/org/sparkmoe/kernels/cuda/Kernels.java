package org.sparkmoe.kernels.cuda;

import java.util.EnumMap;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.WeightFormat;

/**
 * Our kernels for one GPU.
 *
 * @param plain products by type of the weights
 * @param quantized products by type of the codes
 * @param fourBit products by what {@link FourBitLayout#kernels} calls them, for formats that fit
 * @param fp8 products of e4m3 by e4m3; absent where the GPU has no kernels for them
 * @param tokens what happens to tokens around them
 */
record Kernels(
    Map<DType, Products> plain,
    Map<CodeType, Products> quantized,
    Map<String, Products> fourBit,
    Optional<Products> fp8,
    TokenKernels tokens) {
  static final String PORTABLE = "experts.ptx";
  static final String CODED = "coded.ptx";
  static final String FOUR_BIT = "fourbit.ptx";
  static final String FP8 = "fp8.ptx";
  static final String HOPPER = "hopper.ptx";

  /** Loads those that run fastest on the GPU of the current context. */
  static Kernels load(Driver driver, DeviceInfo info, Owned owned) {
    PtxModule portable = PtxModule.load(driver, PORTABLE, owned);
    Map<DType, Products> products = new EnumMap<>(DType.class);
    TokenKernels tokens = TokenKernels.load(driver, info, owned);
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
    PtxModule units = PtxModule.load(driver, FOUR_BIT, owned);
    Map<String, Products> fourBit = new HashMap<>();
    for (String name : FourBitProducts.NAMES) {
      fourBit.put(name, new FourBitProducts(units, name));
    }
    return new Kernels(
        products,
        quantized,
        fourBit,
        info.isHopper()
            ? Optional.of(
                new Fp8Products(PtxModule.load(driver, FP8, owned), info.multiprocessors()))
            : Optional.empty(),
        tokens);
  }

  /** Both products of experts of that shape. */
  Products products(GpuShape shape) {
    return shape.rows() == GpuRows.ROUNDED
        ? products(shape.weights())
        : fp8.orElseThrow(() -> new CudaException("this GPU has no kernels for FP8 rows"));
  }

  /** Both products for weights stored as {@code format} and rows that are rounded. */
  Products products(WeightFormat format) {
    return switch (format) {
      case DType type -> plain.get(type);
      case QuantFormat coded ->
          FourBitLayout.fits(coded)
              ? fourBit.get(FourBitLayout.kernels(coded))
              : quantized.get(coded.codes());
    };
  }
}
