package org.sparkmoe.udfs.sql;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.spark.sql.connector.catalog.functions.BoundFunction;
import org.apache.spark.sql.connector.catalog.functions.UnboundFunction;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.BinaryType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/**
 * A function by name: what it takes, how it is made, and its text. The one description of it, for
 * the catalog, the session extension and the documents.
 *
 * @param name without a prefix
 * @param usage what it gives, in a sentence
 * @param arguments in order; the last ones may be missing where a form is shorter
 * @param forms argument types that it takes
 * @param example a query that is tested
 * @param note what else to know, may be empty
 */
record Signature(
    String name,
    String usage,
    List<Argument> arguments,
    List<Form> forms,
    Example example,
    String note)
    implements UnboundFunction {
  private static final String DECODE = "decode";

  Signature(
      String name, String usage, List<Argument> arguments, List<Form> forms, Example example) {
    this(name, usage, arguments, forms, example, "");
  }

  /** By the catalog: nothing is known of constants here. */
  @Override
  public BoundFunction bind(StructType arguments) {
    List<DataType> given = Arrays.stream(arguments.fields()).map(StructField::dataType).toList();
    try {
      return form(name, given).binder().bind(new Object[given.size()]);
    } catch (IllegalArgumentException e) {
      // what Spark expects here, and shows as the query's error
      throw new UnsupportedOperationException(e.getMessage(), e);
    }
  }

  /**
   * The form for arguments of these types.
   *
   * @param called the function's name in messages
   * @throws IllegalArgumentException where there is none
   */
  Form form(String called, List<DataType> given) {
    return forms.stream()
        .filter(form -> form.accepts(given))
        .findFirst()
        .orElseThrow(() -> new IllegalArgumentException(refusal(called, given)));
  }

  private String refusal(String called, List<DataType> given) {
    boolean count = forms.stream().noneMatch(form -> form.inputTypes().size() == given.size());
    return "%s takes %s, not %s%s"
        .formatted(
            called,
            forms.stream()
                .map(form -> types(form.inputTypes()))
                .collect(Collectors.joining(" or ")),
            count ? given.size() + " arguments" : types(given),
            count ? "" : remedy(called, given));
  }

  /** What to do about a vector in the other of its two encodings, which is the usual mistake. */
  private String remedy(String called, List<DataType> given) {
    boolean array = given.getFirst() instanceof ArrayType;
    boolean binary = given.getFirst() instanceof BinaryType;
    if (array && name.equals(DECODE)) {
      return "; an array needs no decoding: take it as it is";
    }
    boolean takesArrays =
        forms.stream().anyMatch(form -> form.inputTypes().getFirst() instanceof ArrayType);
    return binary && takesArrays
        ? "; %s makes an array of a BINARY vector".formatted(called.replace(name, DECODE))
        : "";
  }

  /** How it is called, for example {@code decode(vector, dtype)}. */
  String call(String called) {
    int least = forms.stream().mapToInt(form -> form.inputTypes().size()).min().orElseThrow();
    return IntStream.range(0, arguments.size())
        .mapToObj(i -> (i < least ? "" : "[") + (i == 0 ? "" : ", ") + arguments.get(i).name())
        .collect(Collectors.joining("", called + "(", "]".repeat(arguments.size() - least) + ")"));
  }

  /** The types of argument {@code index}, for documents. */
  String argumentType(int index) {
    return forms.stream()
        .filter(form -> index < form.inputTypes().size())
        .map(form -> form.inputTypes().get(index).sql())
        .distinct()
        .collect(Collectors.joining(" or "));
  }

  @Override
  public String description() {
    return call(name) + " - " + usage;
  }

  private static String types(List<DataType> types) {
    return types.stream().map(DataType::sql).collect(Collectors.joining(", ", "(", ")"));
  }
}
