package org.sparkmoe.kernels.onednn;

import org.sparkmoe.kernels.natives.NativeCache;
import org.sparkmoe.kernels.natives.NativeFiles;
import org.sparkmoe.kernels.natives.NativesException;
import org.sparkmoe.kernels.natives.Platform;

/**
 * The one libdnnl of this process. Touching this class unpacks and loads it; whether that worked
 * stays the same until the process ends.
 */
final class Library {
  private static final Dnnl DNNL;
  private static final String REASON;

  static {
    Dnnl loaded = null;
    String reason = "";
    try {
      NativeFiles files = NativeFiles.dnnl(Platform.current());
      loaded = new Dnnl(NativeCache.ofUser().unpack(files));
    } catch (NativesException | IllegalStateException | DnnlException e) {
      reason = e.getMessage();
    }
    DNNL = loaded;
    REASON = reason;
  }

  private Library() {}

  /** Why there is none; empty where it is loaded. */
  static String reason() {
    return REASON;
  }

  /**
   * The library.
   *
   * @throws IllegalStateException where it could not be loaded
   */
  static Dnnl dnnl() {
    if (DNNL == null) {
      throw new IllegalStateException(REASON);
    }
    return DNNL;
  }
}
