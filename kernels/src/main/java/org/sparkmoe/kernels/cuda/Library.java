package org.sparkmoe.kernels.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.util.NoSuchElementException;

/**
 * The one GPU of this process. Touching this class loads libcuda; whether that worked stays the
 * same until the process ends.
 */
final class Library {
  private static final String NAME = "libcuda.so.1";
  private static final Gpu GPU;
  private static final String REASON;

  static {
    Gpu gpu = null;
    String reason = "";
    try {
      gpu = Gpu.open(new Driver(load(NAME)), ordinal());
    } catch (IllegalStateException | CudaException e) {
      reason = e.getMessage();
    } catch (NoSuchElementException e) {
      reason =
          "the NVIDIA driver is too old: %s; install driver 450 or later".formatted(e.getMessage());
    }
    GPU = gpu;
    REASON = reason;
  }

  private Library() {}

  /** Why there is none; empty where it is open. */
  static String reason() {
    return REASON;
  }

  /**
   * The GPU.
   *
   * @throws IllegalStateException where there is none
   */
  static Gpu gpu() {
    if (GPU == null) {
      throw new IllegalStateException(REASON);
    }
    return GPU;
  }

  /**
   * Loads a library by the name the system finds it by.
   *
   * @throws IllegalStateException where it does not
   */
  @SuppressWarnings("restricted") // the driver's own library
  static SymbolLookup load(String name) {
    try {
      return SymbolLookup.libraryLookup(name, Arena.global());
    } catch (IllegalArgumentException e) {
      throw new IllegalStateException(
          "there is no %s; install an NVIDIA driver, or use onednn, vector or auto".formatted(name),
          e);
    }
  }

  private static int ordinal() {
    String value = System.getProperty(Gpu.DEVICE_PROPERTY, "0");
    try {
      return Integer.parseInt(value);
    } catch (NumberFormatException e) {
      throw new IllegalStateException(
          "%s is '%s'; give the number of a GPU, 0 for the first"
              .formatted(Gpu.DEVICE_PROPERTY, value),
          e);
    }
  }
}
