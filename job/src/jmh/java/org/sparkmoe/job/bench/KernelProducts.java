package org.sparkmoe.job.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.bench.RandomLayer;
import org.sparkmoe.kernels.bench.Shape;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.gemm.Gemm;
import org.sparkmoe.kernels.gemm.PackedMatrix;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.Workspace;

/** Products by the matrix product of one of our backends, on weights packed beforehand. */
final class KernelProducts implements GemmFloor.Products {
  private final Arena arena = Arena.ofShared();
  private final Backend backend;
  private final Gemm gemm;
  private final PackedMatrix[][] packed;
  private final Workspace[] workspaces;

  KernelProducts(Backend backend, RandomLayer weights, int threads) {
    Shape shape = weights.shape();
    this.backend = backend;
    ExpertKernel kernel = ExpertKernel.of(backend);
    this.gemm = kernel.gemm();
    this.packed = new PackedMatrix[shape.experts()][];
    for (int expert = 0; expert < packed.length; expert++) {
      Matrix[] wide = weights.wide(expert);
      packed[expert] = new PackedMatrix[wide.length];
      for (int i = 0; i < wide.length; i++) {
        packed[expert][i] = gemm.pack(wide[i], arena);
      }
    }
    this.workspaces = new Workspace[threads];
    long bytes =
        Math.max(
            gemm.workspaceBytes(GemmFloor.MOST_ROWS, shape.hidden()),
            gemm.workspaceBytes(GemmFloor.MOST_ROWS, shape.intermediate()));
    for (int i = 0; i < threads; i++) {
      workspaces[i] = kernel.workspace(bytes, arena);
    }
  }

  @Override
  public String name() {
    return backend + " products";
  }

  @Override
  public int threads(int count) {
    return 1;
  }

  @Override
  public void multiply(
      int worker, int rows, MemorySegment x, int expert, int projection, MemorySegment y) {
    gemm.multiply(rows, x, packed[expert][projection], null, y, workspaces[worker]);
  }

  @Override
  public void close() {
    arena.close();
  }
}
