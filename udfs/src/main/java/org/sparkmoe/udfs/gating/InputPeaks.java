package org.sparkmoe.udfs.gating;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.combine.InputWeight;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.quant.LayerPeaks;
import org.sparkmoe.kernels.quant.PeakMeter;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.udfs.peaks.ActivationPeaks;
import org.sparkmoe.udfs.plan.LayerPlan;

/** Measures what the routed experts and the shared one are given, before it is quantized. */
final class InputPeaks {
  private final MoeLayerSpec spec;
  private final ActivationPeaks peaks;
  private final MemorySegment weightedOrNull;

  InputPeaks(LayerPlan plan, ActivationPeaks peaks, Arena arena) {
    this.spec = plan.spec();
    this.peaks = peaks;
    this.weightedOrNull =
        spec.routing().weightOnInput()
            ? arena.allocate(DType.F32.bytes((long) plan.batchTokens() * spec.hidden()), 64)
            : null;
  }

  void see(GatedBatch batch) {
    long bytes = DType.F32.bytes((long) batch.tokens() * spec.hidden());
    MemorySegment hidden = batch.rows().hidden().asSlice(0, bytes);
    float plain = peak(hidden);
    float weighted = plain;
    if (weightedOrNull != null) {
      InputWeight.apply(batch.tokens(), spec.hidden(), hidden, batch.topkWeights(), weightedOrNull);
      weighted = peak(weightedOrNull.asSlice(0, bytes));
    }
    peaks.add(new LayerPeaks(weighted, 0, plain, 0));
  }

  private static float peak(MemorySegment values) {
    PeakMeter meter = new PeakMeter();
    meter.see(values);
    return meter.peak();
  }
}
