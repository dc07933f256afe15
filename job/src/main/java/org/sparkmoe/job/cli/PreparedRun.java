package org.sparkmoe.job.cli;

import java.util.stream.Collectors;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.delta.DeltaTables;
import org.sparkmoe.datasets.tokens.MissingColumnsException;
import org.sparkmoe.datasets.tokens.TokenSource;
import org.sparkmoe.datasets.tokens.TokenTable;
import org.sparkmoe.job.plan.JobPlan;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.plan.Planner;

/**
 * A layer and its tokens, both opened, and found to fit each other.
 *
 * @param planner of the layer
 * @param table its tokens
 */
record PreparedRun(Planner planner, TokenTable table) {

  /**
   * Opens both.
   *
   * @throws InputException for what cannot be used
   */
  static PreparedRun of(SparkSession spark, JobRequest request) {
    if (request.outputFormat() == JobRequest.OutputFormat.DELTA) {
      DeltaTables.require(spark, "--output-format delta");
    }
    Planner planner = Planner.of(request, spark.sparkContext());
    TokenTable table = open(spark, request);
    table.requireWidth(planner.layer().spec().hidden());
    return new PreparedRun(planner, table);
  }

  private static TokenTable open(SparkSession spark, JobRequest request) {
    try {
      return TokenSource.open(spark, request.tokens());
    } catch (MissingColumnsException e) {
      String options =
          e.roles().stream().map(PreparedRun::option).collect(Collectors.joining(" and "));
      throw new InputException("%s; name yours with %s".formatted(e.getMessage(), options), e);
    }
  }

  private static String option(MissingColumnsException.Role role) {
    return switch (role) {
      case TOKEN_ID -> "--token-id-column";
      case HIDDEN -> "--hidden-column";
      case KEPT -> "--keep-columns";
      case SINCE -> "--since";
    };
  }

  /** The plan for the tokens that there are, counted by their ids. */
  JobPlan plan() {
    Dataset<Row> rows = table.rows();
    long count = rows.select(TokenTable.TOKEN_ID).count();
    return planner.plan(count, rows.rdd().getNumPartitions(), table.encoding().dtype());
  }
}
