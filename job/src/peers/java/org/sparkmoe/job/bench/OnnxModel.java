package org.sparkmoe.job.bench;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import org.sparkmoe.kernels.bench.Shape;

/**
 * The ONNX model of one layer: logits by a {@code Gemm}, then the mixture by {@code
 * com.microsoft.MoE}. Weights are inputs, so that a model has no 2 GB limit; the operator does not
 * prepack, so it loses nothing by that.
 */
final class OnnxModel {
  private static final int VARINT = 0;
  private static final int LENGTH = 2;

  /** {@code AttributeProto.AttributeType} and {@code TensorProto.DataType}. */
  private static final int INT = 2;

  private static final int STRING = 3;
  private static final int FLOAT = 1;

  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

  private OnnxModel() {}

  /**
   * The serialized model: inputs {@code x [T, H]}, {@code router [E, H]}, {@code bias [E]}, {@code
   * fc1 [E, 2I, H]} with the rows of gate and up alternating, {@code fc2 [E, H, I]}; output {@code
   * y [T, H]}.
   */
  static byte[] layer(Shape shape) {
    int e = shape.experts();
    int h = shape.hidden();
    int i = shape.intermediate();
    OnnxModel graph =
        new OnnxModel()
            .message(1, gemm())
            .message(1, moe(shape.topK()))
            .text(2, "moe")
            .message(11, value("x", -1, h))
            .message(11, value("router", e, h))
            .message(11, value("bias", e))
            .message(11, value("fc1", e, 2 * i, h))
            .message(11, value("fc2", e, h, i))
            .message(12, value("y", -1, h));
    return new OnnxModel()
        .number(1, 10)
        .message(7, graph)
        .message(8, new OnnxModel().text(1, "").number(2, 21))
        .message(8, new OnnxModel().text(1, "com.microsoft").number(2, 1))
        .bytes
        .toByteArray();
  }

  private static OnnxModel gemm() {
    return new OnnxModel()
        .text(1, "x")
        .text(1, "router")
        .text(1, "bias")
        .text(2, "logits")
        .text(4, "Gemm")
        .message(5, attribute("transB", 1));
  }

  private static OnnxModel moe(int topK) {
    return new OnnxModel()
        .text(1, "x")
        .text(1, "logits")
        .text(1, "fc1")
        .text(1, "")
        .text(1, "fc2")
        .text(2, "y")
        .text(4, "MoE")
        .message(5, attribute("activation_type", "swiglu"))
        .message(5, attribute("swiglu_fusion", 1))
        .message(5, attribute("normalize_routing_weights", 1))
        .message(5, attribute("k", topK))
        .text(7, "com.microsoft");
  }

  private static OnnxModel attribute(String name, int value) {
    return new OnnxModel().text(1, name).number(3, value).number(20, INT);
  }

  private static OnnxModel attribute(String name, String value) {
    return new OnnxModel().text(1, name).text(4, value).number(20, STRING);
  }

  /** A {@code ValueInfoProto} of floats; −1 is a dimension of any size. */
  private static OnnxModel value(String name, int... dimensions) {
    OnnxModel shape = new OnnxModel();
    for (int size : dimensions) {
      OnnxModel dimension = new OnnxModel();
      shape.message(1, size < 0 ? dimension.text(2, "T") : dimension.number(1, size));
    }
    OnnxModel tensor = new OnnxModel().number(1, FLOAT).message(2, shape);
    return new OnnxModel().text(1, name).message(2, new OnnxModel().message(1, tensor));
  }

  private OnnxModel number(int field, long value) {
    varint(((long) field << 3) | VARINT);
    varint(value);
    return this;
  }

  private OnnxModel text(int field, String value) {
    return data(field, value.getBytes(StandardCharsets.UTF_8));
  }

  private OnnxModel message(int field, OnnxModel value) {
    return data(field, value.bytes.toByteArray());
  }

  private OnnxModel data(int field, byte[] value) {
    varint(((long) field << 3) | LENGTH);
    varint(value.length);
    bytes.writeBytes(value);
    return this;
  }

  private void varint(long value) {
    long rest = value;
    while ((rest & ~0x7FL) != 0) {
      bytes.write((int) ((rest & 0x7F) | 0x80));
      rest >>>= 7;
    }
    bytes.write((int) rest);
  }
}
