package org.sparkmoe.job.bench;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.index.NDIndex;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.pytorch.jni.JniUtils;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import org.sparkmoe.kernels.bench.LayerProof;
import org.sparkmoe.kernels.bench.RandomLayer;
import org.sparkmoe.kernels.tensor.Matrix;

/**
 * The layer as a loop over experts in PyTorch: router, softmax, top k; then per expert
 * index-select, three products, silu, and the weighted sum. DJL has no {@code index_add}: as a
 * token comes once per expert, reading, adding and writing back its rows is the same.
 *
 * <p>Tensors share the weights' memory.
 */
final class DjlPeer implements Contender {
  private final RandomLayer weights;
  private final NDManager manager;
  private final NDArray router;
  private final NDArray[][] experts;

  DjlPeer(RandomLayer weights, int threads) {
    this.weights = weights;
    this.manager = Engine.getEngine("PyTorch").newBaseManager();
    JniUtils.setNumThreads(threads);
    this.router = tensor(weights.router()).transpose();
    this.experts = new NDArray[weights.shape().experts()][];
    for (int e = 0; e < experts.length; e++) {
      Matrix[] wide = weights.wide(e);
      experts[e] = new NDArray[wide.length];
      for (int i = 0; i < wide.length; i++) {
        experts[e][i] = tensor(wide[i]).transpose();
      }
    }
  }

  @Override
  public String name() {
    return "PyTorch " + Engine.getEngine("PyTorch").getVersion() + " (DJL)";
  }

  @Override
  public void run(Batch batch) {
    try (NDManager scope = manager.newSubManager()) {
      NDArray out = forward(scope, batch);
      MemorySegment result = MemorySegment.ofBuffer(out.toByteBuffer(true));
      MemorySegment.copy(result, 0, batch.out(), 0, batch.out().byteSize());
    }
  }

  @Override
  public void prove(Batch batch) {
    run(batch);
    LayerProof.checkLayer(name(), weights, batch.tokens(), batch.x(), batch.out(), LayerProof.PEER);
  }

  @Override
  public void close() {
    manager.close();
  }

  private NDArray forward(NDManager scope, Batch batch) {
    int hidden = weights.shape().hidden();
    int k = weights.shape().topK();
    NDArray x = tensor(scope, batch.x(), batch.tokens(), hidden);
    NDArray bias = scope.create(weights.routerBias().orElseThrow());
    NDList top = x.matMul(router).add(bias).softmax(1).topK(k, 1, true, true);
    NDArray scores = top.get(0).div(top.get(0).sum(new int[] {1}, true));
    float[] topkWeights = scores.toFloatArray();
    long[] topkIds = top.get(1).toLongArray();
    NDArray out = scope.zeros(x.getShape());
    for (int expert = 0; expert < experts.length; expert++) {
      addExpert(scope, expert, x, topkIds, topkWeights, out);
    }
    return out;
  }

  private void addExpert(
      NDManager scope, int expert, NDArray x, long[] topkIds, float[] topkWeights, NDArray out) {
    int k = weights.shape().topK();
    int count = 0;
    for (long id : topkIds) {
      count += id == expert ? 1 : 0;
    }
    if (count == 0) {
      return;
    }
    long[] tokens = new long[count];
    float[] factors = new float[count];
    int next = 0;
    for (int a = 0; a < topkIds.length; a++) {
      if (topkIds[a] == expert) {
        tokens[next] = a / k;
        factors[next++] = topkWeights[a];
      }
    }
    try (NDManager local = scope.newSubManager()) {
      NDIndex index = new NDIndex("{}", local.create(tokens));
      NDArray rows = x.get(local, index);
      NDArray gate = rows.matMul(experts[expert][0]);
      NDArray up = rows.matMul(experts[expert][1]);
      NDArray inner = gate.getNDArrayInternal().sigmoid().muli(gate).muli(up);
      NDArray y = inner.matMul(experts[expert][2]).muli(local.create(factors).expandDims(1));
      out.set(index, out.get(local, index).addi(y));
    }
  }

  private NDArray tensor(Matrix matrix) {
    return tensor(manager, matrix.data(), matrix.rows(), matrix.cols());
  }

  /** Borrows the memory of {@code data}. */
  private static NDArray tensor(NDManager owner, MemorySegment data, int rows, int cols) {
    return owner.create(
        data.asByteBuffer().order(ByteOrder.nativeOrder()),
        new Shape(rows, cols),
        DataType.FLOAT32);
  }
}
