package org.sparkmoe.udfs.experts;

import java.lang.foreign.Arena;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.memory.PageArena;
import org.sparkmoe.kernels.tensor.Workspace;

/** The kernels' workspace of a lane; replaced when a larger batch comes. */
final class LaneWorkspace implements AutoCloseable {
  private final ExpertKernel kernel;
  private Arena arena = PageArena.ofShared();
  private Workspace workspace;
  private long bytes;

  /** Of the kind that {@code kernel} needs, without memory yet. */
  LaneWorkspace(ExpertKernel kernel) {
    this.kernel = kernel;
    this.workspace = kernel.workspace(0, arena);
  }

  /** The workspace, with at least {@code needed} bytes. */
  Workspace of(long needed) {
    if (needed > bytes) {
      arena.close();
      arena = PageArena.ofShared();
      workspace = kernel.workspace(needed, arena);
      bytes = needed;
    }
    return workspace;
  }

  @Override
  public void close() {
    arena.close();
  }
}
