package org.sparkmoe.job.ml;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.struct;

import java.util.Arrays;
import org.apache.spark.ml.Transformer;
import org.apache.spark.ml.param.IntParam;
import org.apache.spark.ml.param.Param;
import org.apache.spark.ml.param.ParamMap;
import org.apache.spark.ml.util.DefaultParamsReader;
import org.apache.spark.ml.util.DefaultParamsWritable;
import org.apache.spark.ml.util.Identifiable$;
import org.apache.spark.ml.util.MLReader;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.job.api.LayerTransform;
import org.sparkmoe.job.api.Moe;

/**
 * One layer of a checkpoint as a stage of a pipeline: every column stays, {@code output} and {@code
 * error} come behind them. Computes what {@link LayerTransform#transform} does, with the same
 * passes; saved with its parameters, not with weights.
 */
public final class MoeLayerTransformer extends Transformer implements DefaultParamsWritable {
  private static final long serialVersionUID = 1;

  /** The input's columns on their way through the layer. */
  private static final String ROW = "row";

  private final String uid;
  private final Param<String> model;
  private final IntParam layer;
  private final Param<String> tokenIdCol;
  private final Param<String> inputCol;
  private final Param<String> outputCol;
  private final Param<String> errorCol;
  private final Param<String> hiddenDtype;
  private final Param<String> backend;
  private final Param<String> dispatch;

  /** A stage with a uid of its own; {@link #setModel} and {@link #setLayer} have to follow. */
  public MoeLayerTransformer() {
    this(Identifiable$.MODULE$.randomUID("moeLayer"));
  }

  /** As above; called by Spark when a saved stage is read. */
  public MoeLayerTransformer(String uid) {
    this.uid = uid;
    // Parameters ask for the uid, so they come after it.
    this.model = new Param<>(this, "model", "checkpoint folder that every executor reaches");
    this.layer = new IntParam(this, "layer", "decoder layer, from 0");
    this.tokenIdCol = new Param<>(this, "tokenIdCol", "column of unique integer ids");
    this.inputCol = new Param<>(this, "inputCol", "column of vectors");
    this.outputCol = new Param<>(this, "outputCol", "column to add, in the encoding of inputCol");
    this.errorCol = new Param<>(this, "errorCol", "column to add: why a row has no output");
    this.hiddenDtype =
        new Param<>(
            this, "hiddenDtype", "of a BINARY inputCol: f32, bf16, f16; auto: its metadata");
    this.backend = new Param<>(this, "backend", "auto, or a backend that never falls back");
    this.dispatch = new Param<>(this, "dispatch", "auto, replicated or ep");
    setDefault(tokenIdCol, "token_id");
    setDefault(inputCol, "hidden");
    setDefault(outputCol, "output");
    setDefault(errorCol, "error");
    setDefault(hiddenDtype, "auto");
    setDefault(backend, "auto");
    setDefault(dispatch, "auto");
  }

  /** Called by Spark to read a saved stage. */
  public static MLReader<MoeLayerTransformer> read() {
    return new DefaultParamsReader<>();
  }

  /** A stage that was saved. */
  public static MoeLayerTransformer load(String path) {
    return read().load(path);
  }

  @Override
  public String uid() {
    return uid;
  }

  /** Parameter: checkpoint folder. */
  public Param<String> model() {
    return model;
  }

  /** Parameter: decoder layer. */
  public IntParam layer() {
    return layer;
  }

  /** Parameter: column of ids. */
  public Param<String> tokenIdCol() {
    return tokenIdCol;
  }

  /** Parameter: column of vectors. */
  public Param<String> inputCol() {
    return inputCol;
  }

  /** Parameter: column of outputs. */
  public Param<String> outputCol() {
    return outputCol;
  }

  /** Parameter: column of reasons. */
  public Param<String> errorCol() {
    return errorCol;
  }

  /** Parameter: element type of BINARY vectors. */
  public Param<String> hiddenDtype() {
    return hiddenDtype;
  }

  /** Parameter: backend. */
  public Param<String> backend() {
    return backend;
  }

  /** Parameter: way of dispatch. */
  public Param<String> dispatch() {
    return dispatch;
  }

  public MoeLayerTransformer setModel(String value) {
    return assign(model, value);
  }

  public MoeLayerTransformer setLayer(int value) {
    return assign(layer, value);
  }

  public MoeLayerTransformer setTokenIdCol(String value) {
    return assign(tokenIdCol, value);
  }

  public MoeLayerTransformer setInputCol(String value) {
    return assign(inputCol, value);
  }

  public MoeLayerTransformer setOutputCol(String value) {
    return assign(outputCol, value);
  }

  public MoeLayerTransformer setErrorCol(String value) {
    return assign(errorCol, value);
  }

  public MoeLayerTransformer setHiddenDtype(String value) {
    return assign(hiddenDtype, value);
  }

  public MoeLayerTransformer setBackend(String value) {
    return assign(backend, value);
  }

  public MoeLayerTransformer setDispatch(String value) {
    return assign(dispatch, value);
  }

  private MoeLayerTransformer assign(Param<?> param, Object value) {
    set(param.name(), value);
    return this;
  }

  private <T> T value(Param<T> param) {
    if (!isDefined(param)) {
      throw new InputException("parameter %s of %s is not set".formatted(param.name(), uid));
    }
    return getOrDefault(param);
  }

  @Override
  public Dataset<Row> transform(Dataset<?> dataset) {
    transformSchema(dataset.schema());
    LayerTransform transform =
        Moe.layer(value(model), (Integer) value(layer))
            .backend(value(backend))
            .dispatch(value(dispatch))
            .columns("token_id", "hidden")
            .keepColumns(ROW);
    String dtype = value(hiddenDtype);
    if (!dtype.equals("auto")) {
      transform = transform.hiddenDtype(dtype);
    }
    Dataset<Row> tokens =
        dataset.select(
            named(value(tokenIdCol)).as("token_id"),
            named(value(inputCol)).as("hidden"),
            struct(
                    Arrays.stream(dataset.columns())
                        .map(MoeLayerTransformer::named)
                        .toArray(Column[]::new))
                .as(ROW));
    return transform
        .transform(tokens)
        .select(
            col(ROW + ".*"), col("output").as(value(outputCol)), col("error").as(value(errorCol)));
  }

  /**
   * The schema after the stage. How wide vectors are is known with the model, so it is not looked
   * at here.
   *
   * @throws InputException for a column that is missing, of a type that is not taken, or there
   *     twice
   */
  @Override
  public StructType transformSchema(StructType schema) {
    requireType(
        schema,
        value(tokenIdCol),
        "BIGINT, INT, SMALLINT or TINYINT",
        type ->
            type.equals(DataTypes.LongType)
                || type.equals(DataTypes.IntegerType)
                || type.equals(DataTypes.ShortType)
                || type.equals(DataTypes.ByteType));
    DataType input =
        requireType(
            schema,
            value(inputCol),
            "ARRAY<FLOAT>, ARRAY<DOUBLE> or BINARY",
            type ->
                type.equals(DataTypes.BinaryType)
                    || (type instanceof ArrayType array
                        && (array.elementType().equals(DataTypes.FloatType)
                            || array.elementType().equals(DataTypes.DoubleType))));
    for (Param<String> added : Arrays.asList(outputCol, errorCol)) {
      String name = value(added);
      if (Arrays.stream(schema.fieldNames()).anyMatch(name::equalsIgnoreCase)) {
        throw new InputException(
            "there is a column %s already; name another with %s".formatted(name, added.name()));
      }
    }
    return schema
        .add(
            value(outputCol),
            input instanceof ArrayType
                ? DataTypes.createArrayType(DataTypes.FloatType, false)
                : DataTypes.BinaryType)
        .add(value(errorCol), DataTypes.StringType);
  }

  private static DataType requireType(
      StructType schema, String name, String wanted, java.util.function.Predicate<DataType> fits) {
    if (Arrays.stream(schema.fieldNames()).noneMatch(name::equals)) {
      throw new InputException(
          "there is no column %s; columns are %s"
              .formatted(name, String.join(", ", schema.fieldNames())));
    }
    DataType type = schema.apply(name).dataType();
    if (!fits.test(type)) {
      throw new InputException("column %s is %s; use %s".formatted(name, type.sql(), wanted));
    }
    return type;
  }

  private static Column named(String name) {
    return col("`" + name.replace("`", "``") + "`");
  }

  @Override
  public MoeLayerTransformer copy(ParamMap extra) {
    return defaultCopy(extra);
  }
}
