package org.sparkmoe.datasets.tokens;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.Metadata;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.arrow.HiddenMetadata;
import org.sparkmoe.datasets.safetensors.Quoted;
import org.sparkmoe.datasets.tokens.MissingColumnsException.Role;
import org.sparkmoe.datasets.tokens.MissingColumnsException.Wanted;
import org.sparkmoe.kernels.tensor.DType;

/** Picks the columns of an input and refuses those that do not fit. */
final class TokenColumns {
  private static final int NAMES_SHOWN = 20;
  private static final Set<DataType> ID_TYPES =
      Set.of(DataTypes.LongType, DataTypes.IntegerType, DataTypes.ShortType, DataTypes.ByteType);

  private final StructType schema;
  private final InputFormat format;
  private final TokenOptions options;

  TokenColumns(StructType schema, InputFormat format, TokenOptions options) {
    this.schema = schema;
    this.format = format;
    this.options = options;
  }

  /**
   * Refuses names that are not there, all of them at once.
   *
   * @throws MissingColumnsException where the id, the hidden state or a kept column is missing
   */
  void requireNamed() {
    List<Wanted> wanted = new ArrayList<>();
    wanted.add(new Wanted(Role.TOKEN_ID, options.tokenIdColumn()));
    wanted.add(new Wanted(Role.HIDDEN, options.hiddenColumn()));
    options.keepColumns().forEach(name -> wanted.add(new Wanted(Role.KEPT, name)));
    List<String> names = Arrays.asList(schema.fieldNames());
    wanted.removeIf(column -> names.contains(column.name()));
    if (!wanted.isEmpty()) {
      throw new MissingColumnsException(options.path(), wanted, names());
    }
  }

  StructField tokenId() {
    StructField field = field(Role.TOKEN_ID, options.tokenIdColumn());
    if (!ID_TYPES.contains(field.dataType())) {
      throw new InputException(
          "token id column %s of %s is %s; use BIGINT, INT, SMALLINT or TINYINT"
              .formatted(Quoted.of(field.name()), options.path(), field.dataType().sql()));
    }
    return field;
  }

  StructField hidden() {
    return field(Role.HIDDEN, options.hiddenColumn());
  }

  List<String> kept() {
    options.keepColumns().forEach(name -> field(Role.KEPT, name));
    return options.keepColumns();
  }

  /** The column that {@code --since} names. */
  StructField ordered(String name) {
    return field(Role.SINCE, name);
  }

  HiddenEncoding encoding(StructField hidden) {
    if (hidden.dataType().equals(DataTypes.BinaryType)) {
      return new HiddenEncoding.Binary(binaryDType(hidden));
    }
    HiddenEncoding stated =
        HiddenEncoding.of(hidden)
            .orElseThrow(
                () ->
                    new InputException(
                        "hidden column %s of %s is %s; use ARRAY<FLOAT>, ARRAY<DOUBLE> or BINARY"
                            .formatted(
                                Quoted.of(hidden.name()),
                                options.path(),
                                hidden.dataType().sql())));
    if (options.hiddenDtype().orElse(DType.F32) != DType.F32) {
      throw new InputException(
          "hidden dtype %s does not fit column %s of %s, which is %s; leave the option out"
              .formatted(
                  HiddenEncoding.nameOf(options.hiddenDtype().get()),
                  Quoted.of(hidden.name()),
                  options.path(),
                  hidden.dataType().sql()));
    }
    return stated;
  }

  /** Elements in every row, where the file fixes their number or their bytes. */
  OptionalInt width(StructField hidden, HiddenEncoding encoding) {
    Metadata metadata = hidden.metadata();
    if (encoding instanceof HiddenEncoding.FloatArray) {
      return metadata.contains(HiddenMetadata.WIDTH)
          ? OptionalInt.of(Math.toIntExact(metadata.getLong(HiddenMetadata.WIDTH)))
          : OptionalInt.empty();
    }
    long bytes;
    if (metadata.contains(HiddenMetadata.WIDTH)) {
      bytes = statedDType(hidden).bytes(metadata.getLong(HiddenMetadata.WIDTH));
    } else if (metadata.contains(HiddenMetadata.BYTES)) {
      bytes = metadata.getLong(HiddenMetadata.BYTES);
    } else {
      return OptionalInt.empty();
    }
    DType dtype = encoding.dtype();
    if (bytes % dtype.bytes() != 0) {
      throw new InputException(
          "hidden column %s of %s has rows of %d bytes, not a multiple of %s's %d; give its dtype"
              .formatted(
                  Quoted.of(hidden.name()),
                  options.path(),
                  bytes,
                  HiddenEncoding.nameOf(dtype),
                  dtype.bytes()));
    }
    return OptionalInt.of(Math.toIntExact(bytes / dtype.bytes()));
  }

  private DType binaryDType(StructField hidden) {
    DType stated = statedDType(hidden);
    DType asked = options.hiddenDtype().orElse(stated);
    if (format == InputFormat.SAFETENSORS && asked != stated) {
      throw new InputException(
          "hidden dtype %s does not fit %s, whose tensor is %s; leave the option out"
              .formatted(
                  HiddenEncoding.nameOf(asked), options.path(), HiddenEncoding.nameOf(stated)));
    }
    return asked;
  }

  private static DType statedDType(StructField hidden) {
    return HiddenEncoding.of(hidden).map(HiddenEncoding::dtype).orElse(DType.F32);
  }

  private StructField field(Role role, String name) {
    StructField field =
        Arrays.stream(schema.fields())
            .filter(candidate -> candidate.name().equals(name))
            .findFirst()
            .orElseThrow(
                () ->
                    new MissingColumnsException(
                        options.path(), List.of(new Wanted(role, name)), names()));
    if (field.metadata().contains(HiddenMetadata.UNSUPPORTED)) {
      throw new InputException(
          "%s column %s of %s has the Arrow type %s, which is not supported; cast it"
              .formatted(
                  role,
                  Quoted.of(name),
                  options.path(),
                  field.metadata().getString(HiddenMetadata.UNSUPPORTED)));
    }
    return field;
  }

  private String names() {
    List<String> names =
        Arrays.stream(schema.fieldNames()).limit(NAMES_SHOWN).map(Quoted::of).toList();
    int more = schema.size() - names.size();
    return String.join(", ", names) + (more > 0 ? " and %d more".formatted(more) : "");
  }
}
