package org.sparkmoe.kernels.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.util.NoSuchElementException;

/** libcuda and the GPUs of this process. Both stay open until the process ends. */
final class Library {
  private static final String NAME = "libcuda.so.1";

  private Library() {}

  /** Touching it loads the library; whether that worked stays the same. */
  private static final class Loaded {
    static final Gpus GPUS;
    static final String REASON;

    static {
      Gpus gpus = null;
      String reason = "";
      try {
        gpus = new Gpus(new Driver(load(NAME)));
      } catch (IllegalStateException e) {
        reason = e.getMessage();
      } catch (NoSuchElementException e) {
        reason =
            "the NVIDIA driver is too old: %s; install driver 450 or later"
                .formatted(e.getMessage());
      }
      GPUS = gpus;
      REASON = reason;
    }
  }

  /**
   * GPU {@code ordinal}.
   *
   * @throws IllegalStateException where there is none
   */
  static Gpu gpu(int ordinal) {
    if (Loaded.GPUS == null) {
      throw new IllegalStateException(Loaded.REASON);
    }
    return Loaded.GPUS.gpu(ordinal);
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

  /**
   * The number of the GPU to use where nobody says.
   *
   * @throws IllegalStateException where the property holds none
   */
  static int ordinal() {
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
