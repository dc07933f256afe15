package org.sparkmoe.job.pipeline;

import static org.apache.spark.sql.functions.call_function;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.struct;

import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.MetadataBuilder;
import org.apache.spark.sql.types.StructType;
import org.sparkmoe.datasets.tokens.HiddenEncoding;
import org.sparkmoe.datasets.tokens.TokenTable;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.udfs.sql.MoeFunctionCatalog;

/**
 * The crossing between a user's table and the functions: any encoding becomes {@code token_id,
 * hidden BINARY[, kept]}, and outputs get the encoding of the input back.
 */
final class TokenRows {
  private final TokenTable table;
  private final DType dtype;

  TokenRows(TokenTable table) {
    this.table = table;
    this.dtype = table.encoding().dtype();
  }

  /**
   * Elements of the hidden column as functions see it, and of the output column as they make it.
   */
  DType dtype() {
    return dtype;
  }

  /** Struct of the carried columns, null without any. */
  StructType keptOrNull() {
    if (table.keptColumns().isEmpty()) {
      return null;
    }
    StructType all = table.rows().schema();
    StructType kept = new StructType();
    for (String name : table.keptColumns()) {
      kept = kept.add(all.apply(name));
    }
    return kept;
  }

  /** The rows that functions take. */
  Dataset<Row> normalized() {
    List<Column> columns = new ArrayList<>();
    columns.add(col("token_id"));
    columns.add(
        isArray()
            ? call_function(MoeFunctionCatalog.NAME + ".encode", col("hidden"), lit("f32"))
                .as("hidden")
            : col("hidden"));
    if (!table.keptColumns().isEmpty()) {
      columns.add(
          struct(table.keptColumns().stream().map(TokenRows::quoted).toArray(Column[]::new))
              .as("kept"));
    }
    return table.rows().select(columns.toArray(Column[]::new));
  }

  /** From the rows that functions make to the {@code outputs} table. */
  Dataset<Row> outputs(Dataset<Row> made) {
    List<Column> columns = new ArrayList<>();
    columns.add(col("token_id"));
    columns.add(
        isArray()
            ? call_function(MoeFunctionCatalog.NAME + ".decode", col("output"), lit("f32"))
                .as("output")
            : col("output")
                .as(
                    "output",
                    new MetadataBuilder()
                        .putString("moe.dtype", HiddenEncoding.nameOf(dtype))
                        .build()));
    columns.add(col("error"));
    for (String name : table.keptColumns()) {
      columns.add(col("kept").getField(name).as(name));
    }
    return made.select(columns.toArray(Column[]::new));
  }

  private boolean isArray() {
    return table.encoding() instanceof HiddenEncoding.FloatArray;
  }

  /** A column whose name may hold dots. */
  private static Column quoted(String name) {
    return col("`" + name.replace("`", "``") + "`");
  }
}
