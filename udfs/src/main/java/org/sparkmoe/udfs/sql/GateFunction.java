package org.sparkmoe.udfs.sql;

import java.util.List;
import java.util.Objects;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.unsafe.types.UTF8String;
import org.apache.spark.util.SerializableConfiguration;
import org.sparkmoe.datasets.checkpoint.Checkpoint;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.BackendSelector;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.udfs.gating.Gate;

/**
 * {@code gate(hidden, model STRING, layer INT[, dtype STRING]) → ARRAY<STRUCT<expert_id INT,
 * topk_weight FLOAT>>}: the routes of a token through the router of a checkpoint.
 *
 * <p>The driver chooses the backend, executors read the router: once each, whatever number of tasks
 * and rows they have.
 */
public final class GateFunction extends MoeFunction<ArrayData> {
  private static final long serialVersionUID = 1;

  private static final int MODEL = 1;
  private static final int LAYER = 2;
  private static final int DTYPE = 3;

  static final Signature SIGNATURE =
      new Signature(
          "gate",
          "the experts that a layer's router chooses for a token, with their weights, best first",
          List.of(
              Argument.column("hidden", "as wide as the layer"),
              Argument.constant("model", "checkpoint folder, a path that every executor reaches"),
              Argument.constant("layer", "decoder layer, from 0"),
              Argument.constant("dtype", "of a BINARY hidden: 'f32', the default, 'bf16', 'f16'")),
          List.of(
              form(Form.FLOATS, DataTypes.StringType, DataTypes.IntegerType),
              form(DataTypes.BinaryType, DataTypes.StringType, DataTypes.IntegerType),
              form(
                  DataTypes.BinaryType,
                  DataTypes.StringType,
                  DataTypes.IntegerType,
                  DataTypes.StringType)),
          new Example("%s(array_repeat(0.5, 64), 'moe-demo/checkpoint', 1)[0].expert_id", "7"),
          "Equal to `routes` of a run with the backend that `auto` takes, bit for bit. A hidden"
              + " with a value that is not finite gets weights that are NaN.");

  private final Backend backend;
  private final SerializableConfiguration hadoop;
  private final DTypeName dtypes = new DTypeName();
  private transient UTF8String lastModel;
  private transient int lastLayer;
  private transient Gate.Rows rows;

  private GateFunction(Backend backend, SerializableConfiguration hadoop, DataType... inputTypes) {
    super("gate", RouteArray.TYPE, inputTypes);
    this.backend = backend;
    this.hadoop = hadoop;
  }

  private static Form form(DataType... types) {
    return Form.of(constants -> bind(constants, types), types);
  }

  private static GateFunction bind(Object[] constants, DataType... types) {
    Configuration hadoop = SparkSession.active().sparkContext().hadoopConfiguration();
    if (constants[MODEL] != null && constants[LAYER] instanceof Integer layer) {
      Checkpoint.open(constants[MODEL].toString(), hadoop).layer(layer);
    }
    if (constants.length > DTYPE) {
      DTypeName.check(constants[DTYPE]);
    }
    // no experts run here: their formats do not matter
    Backend backend = BackendSelector.select(BackendSelector.Request.auto(), List.of()).backend();
    return new GateFunction(backend, new SerializableConfiguration(hadoop), types);
  }

  /** Called by Spark's generated code. Null in, null out. */
  public ArrayData invoke(ArrayData hidden, UTF8String model, int layer) {
    return hidden == null || model == null ? null : route(FloatArrays.of(hidden), model, layer);
  }

  /** As above, for f32 elements. */
  public ArrayData invoke(byte[] hidden, UTF8String model, int layer) {
    return hidden == null || model == null
        ? null
        : route(DecodeFunction.decode(hidden, DType.F32), model, layer);
  }

  /** As above, for elements of {@code dtypeName}. */
  public ArrayData invoke(byte[] hidden, UTF8String model, int layer, UTF8String dtypeName) {
    return hidden == null || model == null || dtypeName == null
        ? null
        : route(DecodeFunction.decode(hidden, dtypes.parse(dtypeName)), model, layer);
  }

  private ArrayData route(float[] hidden, UTF8String model, int layer) {
    if (rows == null || layer != lastLayer || !model.equals(lastModel)) {
      rows = Gate.of(model.toString(), layer, backend, hadoop.value()).rows();
      lastModel = model.clone();
      lastLayer = layer;
    }
    rows.route(hidden);
    return RouteArray.of(rows.ids(), rows.weights());
  }

  @Override
  public boolean equals(Object other) {
    return super.equals(other) && other instanceof GateFunction that && backend == that.backend;
  }

  @Override
  public int hashCode() {
    return Objects.hash(super.hashCode(), backend);
  }
}
