package org.sparkmoe.job.bench;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.sparkmoe.kernels.bench.RandomLayer;
import org.sparkmoe.kernels.bench.RoutingKind;
import org.sparkmoe.kernels.bench.Shape;
import org.sparkmoe.kernels.tensor.DType;

/**
 * The SQL functions beside the job's batches of the same work, each over a table of {@code
 * --sql-rows} rows that is made while it is read. Both sides make the same rows, which is proved on
 * a part of them first, and give them to Spark's sink that throws them away.
 */
final class SqlBench {
  /** Of the routers, as wide as a model's; experts are as small as they can be: none runs. */
  private static final Shape ROUTER = new Shape("router", 2048, 8, 64, 8);

  /** Of the vectors that are summed: every slot of a token travels through a shuffle. */
  private static final Shape NARROW = new Shape("narrow", 256, 8, 64, 8);

  /** Rows that are compared. */
  private static final int PROVED = 4096;

  /** Of what SQL shuffles: about as many as the job makes of as many rows. */
  private static final int PARTITIONS = 16;

  /** Part of the rows in which the JVM compiles what runs. */
  private static final int WARMING = 10;

  private static final int ROUNDS = 3;

  private final Settings settings;
  private final Report report;

  SqlBench(Settings settings, Report report) {
    this.settings = settings;
    this.report = report;
  }

  void run() {
    report.section(
        "SQL functions beside the job's batches: %s rows"
            .formatted(Figures.count(settings.sqlRows())));
    SparkSession spark = BenchSession.start(settings);
    spark.conf().set("spark.sql.shuffle.partitions", PARTITIONS);
    List<List<String>> rows = new ArrayList<>();
    try (RandomLayer wide = layer(ROUTER);
        RandomLayer narrow = layer(NARROW);
        Arena arena = Arena.ofShared();
        JobFiles router = JobFiles.write(wide, Batch.of(wide, SqlTables.POOL, arena), DType.F32);
        JobFiles combine =
            JobFiles.write(narrow, Batch.of(narrow, SqlTables.POOL, arena), DType.F32)) {
      for (SqlCase each : SqlCases.of(spark, router, ROUTER, combine, NARROW)) {
        prove(each);
        rows.add(measure(each));
        report.lines(
            List.of(
                "%s: %s of the batches' speed".formatted(each.name(), rows.getLast().getLast())));
      }
    } finally {
      spark.stop();
    }
    report.table(
        List.of(
            "", "batches s", "SQL s", "SQL rows/s", "table alone s", "SQL of the batches' speed"),
        rows);
  }

  private static RandomLayer layer(Shape shape) {
    RandomLayer layer = new RandomLayer(shape, DType.F32, false);
    layer.route(RoutingKind.UNIFORM);
    return layer;
  }

  private static void prove(SqlCase each) {
    List<Row> batches = sorted(each.batches(PROVED));
    if (batches.isEmpty() || !sorted(each.sql(PROVED)).equals(batches)) {
      throw new IllegalStateException(each.name() + ": SQL and batches make different rows");
    }
  }

  private static List<Row> sorted(Dataset<Row> rows) {
    return rows.orderBy(Arrays.stream(rows.columns()).map(functions::col).toArray(Column[]::new))
        .collectAsList();
  }

  private List<String> measure(SqlCase each) {
    int count = settings.sqlRows();
    seconds(each.batches(count / WARMING));
    seconds(each.sql(count / WARMING));
    double[][] samples = new double[3][ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
      samples[0][round] = seconds(each.batches(count));
      samples[1][round] = seconds(each.sql(count));
      samples[2][round] = seconds(each.table(count));
    }
    Timing batches = new Timing(samples[0]);
    Timing sql = new Timing(samples[1]);
    return List.of(
        each.name(),
        Figures.rate(batches.median()),
        Figures.rate(sql.median()),
        Figures.count(count / sql.median()),
        Figures.rate(new Timing(samples[2]).median()),
        Figures.ratio(sql.ratioTo(batches)));
  }

  private static double seconds(Dataset<Row> rows) {
    long started = System.nanoTime();
    rows.write().format("noop").mode("overwrite").save();
    return (System.nanoTime() - started) / 1e9;
  }
}
