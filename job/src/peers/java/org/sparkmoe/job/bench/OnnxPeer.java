package org.sparkmoe.job.bench;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.Map;
import org.sparkmoe.kernels.bench.LayerProof;
import org.sparkmoe.kernels.bench.RandomLayer;
import org.sparkmoe.kernels.bench.Shape;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;

/** The {@code com.microsoft.MoE} operator of ONNX Runtime on the CPU, and the router before it. */
final class OnnxPeer implements Contender {
  private final RandomLayer weights;
  private final Arena arena = Arena.ofShared();
  private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
  private final OrtSession session;
  private final Map<String, OnnxTensor> tensors = new HashMap<>();

  OnnxPeer(RandomLayer weights, int threads) {
    this.weights = weights;
    Shape shape = weights.shape();
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      options.setIntraOpNumThreads(threads);
      options.setInterOpNumThreads(1);
      this.session = environment.createSession(OnnxModel.layer(shape), options);
      tensors.put("router", tensor(weights.router().data(), shape.experts(), shape.hidden()));
      tensors.put("fc1", fc1(shape));
      tensors.put("fc2", fc2(shape));
    } catch (OrtException e) {
      throw new IllegalStateException("ONNX Runtime refuses the layer", e);
    }
  }

  @Override
  public String name() {
    return "ONNX Runtime " + environment.getVersion();
  }

  @Override
  public void run(Batch batch) {
    Shape shape = weights.shape();
    Map<String, OnnxTensor> inputs = new HashMap<>(tensors);
    try (OnnxTensor x = tensor(batch.x(), batch.tokens(), shape.hidden());
        OnnxTensor y = tensor(batch.out(), batch.tokens(), shape.hidden());
        OnnxTensor bias =
            OnnxTensor.createTensor(environment, weights.routerBias().orElseThrow())) {
      inputs.put("x", x);
      inputs.put("bias", bias);
      session.run(inputs, Map.of("y", y)).close();
    } catch (OrtException e) {
      throw new IllegalStateException("ONNX Runtime failed", e);
    }
  }

  @Override
  public void prove(Batch batch) {
    run(batch);
    LayerProof.checkLayer(name(), weights, batch.tokens(), batch.x(), batch.out(), LayerProof.PEER);
  }

  @Override
  public void close() {
    try {
      tensors.values().forEach(OnnxTensor::close);
      session.close();
    } catch (OrtException e) {
      throw new IllegalStateException("ONNX Runtime cannot close its session", e);
    } finally {
      arena.close();
    }
  }

  /** Rows of gate and up in turn, as {@code swiglu_fusion=1} wants them. */
  private OnnxTensor fc1(Shape shape) throws OrtException {
    long rowBytes = DType.F32.bytes(shape.hidden());
    MemorySegment fused =
        arena.allocate(shape.experts() * 2L * shape.intermediate() * rowBytes, 64);
    long to = 0;
    for (int e = 0; e < shape.experts(); e++) {
      Matrix[] expert = weights.wide(e);
      for (int row = 0; row < shape.intermediate(); row++) {
        MemorySegment.copy(expert[0].data(), row * rowBytes, fused, to, rowBytes);
        MemorySegment.copy(expert[1].data(), row * rowBytes, fused, to + rowBytes, rowBytes);
        to += 2 * rowBytes;
      }
    }
    return tensor(fused, shape.experts(), 2L * shape.intermediate(), shape.hidden());
  }

  private OnnxTensor fc2(Shape shape) throws OrtException {
    long bytes = DType.F32.bytes((long) shape.hidden() * shape.intermediate());
    MemorySegment all = arena.allocate(shape.experts() * bytes, 64);
    for (int e = 0; e < shape.experts(); e++) {
      MemorySegment.copy(weights.wide(e)[2].data(), 0, all, e * bytes, bytes);
    }
    return tensor(all, shape.experts(), shape.hidden(), shape.intermediate());
  }

  /** Borrows the memory of {@code data}. */
  private OnnxTensor tensor(MemorySegment data, long... dimensions) throws OrtException {
    return OnnxTensor.createTensor(
        environment,
        data.asByteBuffer().order(ByteOrder.nativeOrder()),
        dimensions,
        OnnxJavaType.FLOAT);
  }
}
