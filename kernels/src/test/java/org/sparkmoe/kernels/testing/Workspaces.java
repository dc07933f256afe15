package org.sparkmoe.kernels.testing;

import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;

/** Workspaces for tests. */
public final class Workspaces {
  private Workspaces() {}

  /** Fills {@code ws} of {@code bytes} with NaN: what is read before it was written shows. */
  public static Workspace poison(Workspace ws, long bytes) {
    int mark = ws.mark();
    MemorySegment all = ws.segment(bytes / Float.BYTES);
    for (long i = 0; i < bytes / Float.BYTES; i++) {
      DType.F32.set(all, i, Float.NaN);
    }
    ws.release(mark);
    return ws;
  }
}
