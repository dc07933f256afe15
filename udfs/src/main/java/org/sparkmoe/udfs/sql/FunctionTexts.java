package org.sparkmoe.udfs.sql;

import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.spark.sql.catalyst.expressions.ExpressionInfo;

/** What is printed of functions: by DESCRIBE FUNCTION, and in documents. */
final class FunctionTexts {
  private static final String SINCE = "0.1.0";

  private FunctionTexts() {}

  /** As DESCRIBE FUNCTION EXTENDED shows it. */
  static ExpressionInfo describe(String called, Signature signature) {
    return new ExpressionInfo(
        MoeFunctions.class.getName(),
        null,
        called,
        signature.call("_FUNC_") + " - " + plain(signature.usage()),
        "\n    Arguments:\n" + arguments(signature) + "  ",
        "\n    Examples:\n      > SELECT %s;\n       %s\n  "
            .formatted(
                signature.example().select().formatted("_FUNC_"), signature.example().result()),
        signature.note().isEmpty() ? "" : "\n    " + plain(signature.note()) + "\n  ",
        "misc_funcs",
        SINCE,
        "",
        "scala_udf");
  }

  private static String arguments(Signature signature) {
    return IntStream.range(0, signature.arguments().size())
        .mapToObj(
            i -> {
              Argument argument = signature.arguments().get(i);
              return "      * %s - %s, %s\n"
                  .formatted(
                      argument.name(),
                      argument.constant()
                          ? "constant " + signature.argumentType(i)
                          : signature.argumentType(i),
                      plain(argument.text()));
            })
        .collect(Collectors.joining());
  }

  static String markdown(List<Signature> signatures) {
    return signatures.stream()
        .map(
            signature ->
                "| `%s` | %s | %s |\n"
                    .formatted(
                        signature.call(MoeFunctions.PREFIX + signature.name()),
                        types(signature),
                        cell(signature)))
        .collect(Collectors.joining("", "| function | takes | gives |\n|---|---|---|\n", ""));
  }

  private static String types(Signature signature) {
    return IntStream.range(0, signature.arguments().size())
        .mapToObj(i -> html(signature.argumentType(i)))
        .collect(Collectors.joining(", "));
  }

  private static String cell(Signature signature) {
    return html(signature.usage())
        + (signature.note().isEmpty() ? "" : ". " + html(signature.note()));
  }

  private static String html(String text) {
    return text.replace("<", "&lt;").replace(">", "&gt;");
  }

  /** Without the marks of Markdown. */
  private static String plain(String text) {
    return text.replace("`", "");
  }
}
