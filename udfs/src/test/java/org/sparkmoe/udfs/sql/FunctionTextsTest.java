package org.sparkmoe.udfs.sql;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.stream.Stream;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.sparkmoe.datasets.tokens.LocalSpark;

/** What is told of the functions, against what they do. */
@ExtendWith(LocalSpark.class)
final class FunctionTextsTest {

  /** The gate's example needs a checkpoint: the job's tests run it. */
  private static Stream<String> functions() {
    return MoeFunctions.ALL.stream().map(Signature::name).filter(name -> !name.equals("gate"));
  }

  @ParameterizedTest
  @MethodSource("functions")
  void examplesPrintWhatTheySay(String name, SparkSession spark) {
    MoeFunctionCatalog.register(spark);
    Signature signature =
        MoeFunctions.ALL.stream().filter(s -> s.name().equals(name)).findFirst().orElseThrow();
    // the catalog takes no DECIMAL literals for FLOAT
    String select =
        signature.example().select().formatted("moe." + name).replaceAll("(-?\\d+\\.\\d+)", "$1f");
    Dataset<Row> result = spark.sql("SELECT " + select);
    Column only = functions.col("`" + result.columns()[0] + "`");
    Row row =
        (signature.example().result().startsWith("[")
                ? result.select(functions.to_json(only))
                : result.select(only.cast("string")))
            .first();
    assertThat(row.getString(0)).isEqualTo(signature.example().result());
  }

  @Test
  void everyFunctionIsInTheTable() {
    String table = MoeFunctions.markdown();
    List<String> lines = table.lines().toList();
    assertThat(lines).hasSize(MoeFunctions.ALL.size() + 2);
    assertThat(table)
        .contains("| `moe_topk(logits, rule)` | ARRAY&lt;FLOAT&gt;, STRING |")
        .contains("`moe_gate(hidden, model, layer[, dtype])`");
  }
}
