import static org.apache.spark.sql.functions.col;

import java.nio.file.Path;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;

/** Compares all rows of the tables of two runs, bit by bit, each as often as it is there. */
final class RunComparison {
  static final String EQUAL = "equal";

  private final SparkSession spark;

  RunComparison(SparkSession spark) {
    this.spark = spark;
  }

  /** What differs in {@code outputs/} or {@code routes/}, or {@link #EQUAL}. */
  String difference(Path run, Path reference) {
    String outputs = difference(run, reference, "outputs");
    return outputs.equals(EQUAL) ? difference(run, reference, "routes") : outputs;
  }

  private String difference(Path run, Path reference, String table) {
    Dataset<Row> ours = rows(run, table);
    Dataset<Row> theirs = rows(reference, table);
    long more = ours.exceptAll(theirs).count();
    long less = theirs.exceptAll(ours).count();
    if (theirs.isEmpty()) {
      return table + " is empty";
    }
    return more == 0 && less == 0
        ? EQUAL
        : "%s has %d rows that are not expected, and lacks %d".formatted(table, more, less);
  }

  /** Floats as text, which is exact: equality in SQL takes -0 for 0. */
  private Dataset<Row> rows(Path run, String table) {
    Dataset<Row> rows = spark.read().parquet(run.resolve(table).toString());
    Column[] columns = new Column[rows.columns().length];
    for (int i = 0; i < columns.length; i++) {
      String name = rows.columns()[i];
      boolean real = rows.schema().apply(i).dataType().equals(DataTypes.FloatType);
      columns[i] = (real ? col(name).cast("string") : col(name)).as(name);
    }
    return rows.select(columns);
  }
}
