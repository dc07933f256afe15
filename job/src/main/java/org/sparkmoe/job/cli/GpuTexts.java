package org.sparkmoe.job.cli;

import java.util.List;
import java.util.Optional;
import org.sparkmoe.job.plan.Amounts;
import org.sparkmoe.job.plan.Planner;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.cuda.Cuda;
import org.sparkmoe.kernels.cuda.Gpu;
import org.sparkmoe.kernels.cuda.GpuRows;
import org.sparkmoe.kernels.cuda.GpuShape;
import org.sparkmoe.kernels.experts.CudaExpertKernel;
import org.sparkmoe.kernels.layer.LayerMemory;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.quant.LayerSchemes;
import org.sparkmoe.kernels.tensor.WeightFormat;

/** What a run takes of a GPU, as lines; none for other backends. */
final class GpuTexts {
  private GpuTexts() {}

  /** For the GPU that the driver of the job sees: executors' are taken to be like it. */
  static List<String> lines(Planner planner) {
    if (planner.backend().backend() != Backend.CUDA) {
      return List.of();
    }
    MoeLayerSpec spec = planner.layer().spec();
    WeightFormat format = planner.layer().formats().in();
    LayerSchemes schemes = planner.schemes();
    GpuRows rows =
        GpuRows.of(format, schemes.input().scheme(), schemes.inner().scheme()).orElseThrow();
    GpuShape shape =
        new GpuShape(format, rows, spec.hidden(), spec.intermediate(), spec.activation().gated());
    Gpu gpu = Cuda.gpu();
    long tokens = planner.batchTokens();
    return lines(
        "%s for %s weights".formatted(gpu.kernels(shape), format.label()),
        CudaExpertKernel.routesOnCpu(spec.routing(), spec.experts()),
        planner.memory().layer(),
        planner.memory().store(),
        gpu.batches(),
        shape.batchBytes(tokens, tokens * spec.topK(), spec.experts()),
        gpu.freeBytes(),
        gpu.bytes());
  }

  static List<String> lines(
      String kernels,
      Optional<String> routesOnCpu,
      LayerMemory layer,
      long store,
      int batches,
      long batchBytes,
      long free,
      long all) {
    return List.of(
        "         kernels %s; router %s"
            .formatted(
                kernels, routesOnCpu.map(reason -> "on the CPU: " + reason).orElse("on the GPU")),
        "         memory of the GPU: weights %s, %d batches of up to %s under way; %s of %s free"
            .formatted(
                weights(layer, store),
                batches,
                Amounts.bytes(batchBytes),
                Amounts.bytes(free),
                Amounts.bytes(all)));
  }

  private static String weights(LayerMemory layer, long store) {
    if (store >= layer.whole()) {
      return Amounts.bytes(layer.whole());
    }
    long resident = (store - layer.pinned()) / layer.expert();
    return "%s, room for %d of %d experts: the others arrive while those are computed"
        .formatted(Amounts.bytes(store), resident, layer.experts());
  }
}
