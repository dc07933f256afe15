package org.sparkmoe.udfs.testing;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.function.UnaryOperator;
import org.apache.hadoop.conf.Configuration;
import org.sparkmoe.datasets.checkpoint.LayerTensors;
import org.sparkmoe.datasets.checkpoint.MoeLayer;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.experts.ExpertLease;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.layer.PreparedLayer;
import org.sparkmoe.kernels.store.ExpertStore;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.E2m1;
import org.sparkmoe.kernels.tensor.E4m3;
import org.sparkmoe.kernels.tensor.Workspace;
import org.sparkmoe.kernels.testing.ExpertTreeSum;

/**
 * A layer token by token and slot by slot, without lanes, batches or blocks: what dispatch and
 * combine have to reproduce bit for bit. For layers without an output bias.
 */
public final class PlainLayer implements AutoCloseable {
  private final Arena arena = Arena.ofShared();
  private final LayerTensors tensors;
  private final PreparedLayer layer;
  private final MoeLayerSpec spec;
  private final Workspace workspace;

  /** How the experts see a token's input; the inverse of quantization included. */
  @FunctionalInterface
  public interface Wire {
    float[] through(float[] input);
  }

  /** Where a token goes. */
  public record Route(int[] ids, float[] weights) {}

  public PlainLayer(MoeLayer layer, Backend backend) {
    this.tensors = layer.open(new Configuration(false));
    this.layer =
        PreparedLayer.prepare(
            layer.spec(), tensors, ExpertKernel.of(backend), ExpertStore.unbounded());
    this.spec = layer.spec();
    this.workspace = this.layer.kernel().workspace(this.layer.workspaceBytes(1), arena);
  }

  public Route route(float[] x) {
    int[] ids = new int[spec.topK()];
    float[] weights = new float[spec.topK()];
    layer.route(1, MemorySegment.ofArray(x), ids, weights, workspace);
    return new Route(ids, weights);
  }

  /** The input of the routed experts before quantization. */
  public float[] expertInput(float[] x) {
    float[] input = x.clone();
    if (spec.routing().weightOnInput()) {
      float weight = route(x).weights()[0];
      for (int h = 0; h < input.length; h++) {
        input[h] *= weight;
      }
    }
    return input;
  }

  /** The layer's output for one token; the shared expert sees it as it is. */
  public float[] forward(float[] x, Wire wire) {
    return forward(x, wire, input -> input);
  }

  /** As above, where an ungated shared expert is quantized too. */
  public float[] forward(float[] x, Wire wire, Wire sharedWire) {
    Route route = route(x);
    float[] received = wire.through(expertInput(x));
    float[][] y = new float[spec.topK()][x.length];
    float[] weights = new float[y.length];
    for (int slot = 0; slot < y.length; slot++) {
      try (ExpertLease lease = layer.acquire(route.ids()[slot])) {
        layer
            .kernel()
            .forward(
                lease.expert(),
                1,
                MemorySegment.ofArray(received),
                MemorySegment.ofArray(y[slot]),
                workspace);
      }
      weights[slot] = spec.routing().weightOnInput() ? 1 : route.weights()[slot];
    }
    float[] sum = ExpertTreeSum.sum(route.ids(), weights, y);
    if (spec.shared().isPresent()) {
      float[] shared = new float[x.length];
      layer.sharedExpert(
          1,
          MemorySegment.ofArray(sharedWire.through(x)),
          MemorySegment.ofArray(shared),
          workspace,
          Team.SOLO);
      for (int h = 0; h < sum.length; h++) {
        sum[h] += shared[h];
      }
    }
    return sum;
  }

  /** INT8 with one scale per {@code span} values. */
  public static Wire int8(int span) {
    return input -> {
      float[] decoded = input.clone();
      for (int from = 0; from < input.length; from += span) {
        int to = Math.min(input.length, from + span);
        float amax = amax(Arrays.copyOfRange(input, from, to));
        quantize(decoded, from, to, Math.max(amax, 1e-10f) / 127);
      }
      return decoded;
    };
  }

  /** INT8 with this scale for everything. */
  public static Wire int8Scaled(float scale) {
    return input -> {
      float[] decoded = input.clone();
      quantize(decoded, 0, decoded.length, scale);
      return decoded;
    };
  }

  /**
   * FP8, with the scale that {@code scaleOf} makes of the largest magnitude of each {@code span}
   * values.
   */
  public static Wire fp8(int span, UnaryOperator<Float> scaleOf) {
    return perGroup(span, scaleOf, scaled -> E4m3.decode(E4m3.encode(scaled)));
  }

  /** NVFP4 with this scale for the tensor. */
  public static Wire nvfp4(float tensorScale) {
    return perGroup(
        16,
        amax -> E4m3.decode(E4m3.encode(amax / (6 * tensorScale))) * tensorScale,
        scaled -> E2m1.decode(E2m1.encode(scaled)));
  }

  private static Wire perGroup(
      int span, UnaryOperator<Float> scaleOf, UnaryOperator<Float> rounded) {
    return input -> {
      float[] decoded = new float[input.length];
      for (int from = 0; from < input.length; from += span) {
        int to = Math.min(input.length, from + span);
        float scale = scaleOf.apply(amax(Arrays.copyOfRange(input, from, to)));
        for (int i = from; scale != 0 && i < to; i++) {
          decoded[i] = rounded.apply(input[i] / scale) * scale;
        }
      }
      return decoded;
    };
  }

  public static float amax(float[] values) {
    float amax = 0;
    for (float value : values) {
      amax = Math.max(amax, Math.abs(value));
    }
    return amax;
  }

  private static void quantize(float[] values, int from, int to, float scale) {
    for (int i = from; i < to; i++) {
      double code = Math.max(-127, Math.min(127, Math.rint(values[i] / scale)));
      values[i] = (float) code * scale;
    }
  }

  @Override
  public void close() {
    layer.close();
    tensors.close();
    arena.close();
  }
}
