package org.sparkmoe.job.pipeline;

import static org.apache.spark.sql.functions.col;

import java.util.OptionalInt;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.util.LongAccumulator;
import org.sparkmoe.datasets.tokens.TokenTable;
import org.sparkmoe.job.plan.DispatchMode;
import org.sparkmoe.job.plan.Planner;
import org.sparkmoe.kernels.permute.ExpertPlacement;
import org.sparkmoe.kernels.quant.LayerCodecs;
import org.sparkmoe.kernels.quant.LayerPeaks;
import org.sparkmoe.udfs.combine.CombineFunction;
import org.sparkmoe.udfs.combine.PartialRow;
import org.sparkmoe.udfs.dispatch.DispatchBlock;
import org.sparkmoe.udfs.dispatch.DispatchFunction;
import org.sparkmoe.udfs.dispatch.ErrorRowsFunction;
import org.sparkmoe.udfs.executor.KernelTimes;
import org.sparkmoe.udfs.experts.ExpertFunction;
import org.sparkmoe.udfs.gating.RouteFunction;
import org.sparkmoe.udfs.gating.RouteTally;
import org.sparkmoe.udfs.peaks.ActivationPeaks;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.plan.Reduction;
import org.sparkmoe.udfs.replicated.ReplicatedFunction;
import org.sparkmoe.udfs.tokens.TokenFormat;

/**
 * The steps of one layer over one table of tokens. All but {@link #intermediates} only build
 * datasets: they run when Spark is asked for rows.
 */
public final class LayerPipeline {
  /** Bytes of partial results that one combine task sorts and sums. */
  private static final long COMBINE_TASK_BYTES = 128L << 20;

  private static final int MOST_COMBINE_TASKS = 4096;

  private final Planner planner;
  private final TokenRows tokens;
  private final TokenFormat format;
  private final Dataset<Row> rows;
  private final TokenPart part;

  private LayerPipeline(
      Planner planner, TokenRows tokens, TokenFormat format, Dataset<Row> rows, TokenPart part) {
    this.planner = planner;
    this.tokens = tokens;
    this.format = format;
    this.rows = rows;
    this.part = part;
  }

  /**
   * The steps of {@code planner}'s layer over {@code table}.
   *
   * @param duplicates ascending token ids that several rows have, broadcast to every task
   */
  public static LayerPipeline of(Planner planner, TokenTable table, long[] duplicates) {
    TokenRows tokens = new TokenRows(table);
    Dataset<Row> rows = tokens.normalized();
    Broadcast<long[]> known =
        duplicates.length == 0
            ? null
            : JavaSparkContext.fromSparkContext(rows.sparkSession().sparkContext())
                .broadcast(duplicates);
    TokenFormat format =
        new TokenFormat(
            planner.layer().spec().hidden(), tokens.dtype(), tokens.keptOrNull(), known);
    return new LayerPipeline(planner, tokens, format, rows, TokenPart.of(rows));
  }

  /** The same steps over a part of the table. */
  public LayerPipeline over(TokenPart some) {
    return new LayerPipeline(planner, tokens, format, rows, some);
  }

  /**
   * The tokens of the whole table as the functions take them: {@code token_id, hidden BINARY[,
   * kept]}.
   */
  public Dataset<Row> rows() {
    return rows;
  }

  /** The form of {@link #rows}. */
  public TokenFormat format() {
    return format;
  }

  /**
   * What tasks get.
   *
   * @param codecs of the planner's schemes, with all scales that have to be known
   */
  public LayerPlan plan(ExpertPlacement placement, LayerCodecs codecs) {
    return planner.layerPlan(format, tokens.dtype(), placement, codecs);
  }

  /**
   * The rows of the {@code routes} table.
   *
   * @param tally registered, and told of every row
   * @param peaks registered, and told of the inputs where a scale is for all tokens
   */
  public Dataset<Row> routes(RouteTally tally, ActivationPeaks peaks) {
    boolean measures = planner.schemes().needsAllTokens();
    LayerPlan gating =
        plan(planner.oneLane(), measures ? LayerCodecs.NONE : planner.schemes().codecs());
    return part.map(
        new RouteFunction(gating, tally, measures ? peaks : null), RouteFunction.SCHEMA);
  }

  /**
   * Runs dispatch and experts over all tokens and tells how large intermediates come; {@link
   * LayerPeaks#NONE}, without running anything, where no scale is for all of them.
   *
   * @param inputs how large the inputs come
   */
  public LayerPeaks intermediates(DispatchMode mode, ExpertPlacement placement, LayerPeaks inputs) {
    if (!planner.schemes().needsInnerPeaks()) {
      return LayerPeaks.NONE;
    }
    LayerPlan measuring = plan(placement, planner.schemes().measuringCodecs(inputs));
    if (mode == DispatchMode.REPLICATED) {
      return Measuring.replicated(rows, measuring);
    }
    LongAccumulator sent =
        rows.sparkSession().sparkContext().longAccumulator("tokens sent, measuring");
    return Measuring.expertParallel(blocks(measuring, sent), measuring);
  }

  /** Outputs without a shuffle, bad rows among them: {@link TokenFormat#outputSchema}. */
  public Dataset<Row> replicated(LayerPlan plan, KernelTimes times) {
    return part.map(new ReplicatedFunction(plan, times), format.outputSchema());
  }

  /** The blocks of all tokens, each in the partition of its lane. */
  public Dataset<Row> blocks(LayerPlan plan, LongAccumulator sent) {
    return part.map(new DispatchFunction(plan, sent), DispatchBlock.schema(format))
        .repartitionById(plan.placement().lanes(), col(DispatchBlock.LANE));
  }

  /**
   * Outputs by way of lanes, without bad rows: {@link TokenFormat#outputSchema}.
   *
   * @param combineTasks partitions of the result; empty leaves their number to Spark
   */
  public Dataset<Row> expertParallel(
      LayerPlan plan, OptionalInt combineTasks, KernelTimes times, LongAccumulator sent) {
    Dataset<Row> partials =
        blocks(plan, sent)
            .mapPartitions(
                new ExpertFunction(plan, times), Encoders.row(PartialRow.schema(format)));
    Dataset<Row> byToken =
        combineTasks.isPresent()
            ? partials.repartition(combineTasks.getAsInt(), col(TokenTable.TOKEN_ID))
            : partials.repartition(col(TokenTable.TOKEN_ID));
    return byToken
        .sortWithinPartitions(TokenTable.TOKEN_ID)
        .mapPartitions(new CombineFunction(plan), Encoders.row(format.outputSchema()));
  }

  /** The rows that cannot be scored, with the reason: {@link TokenFormat#outputSchema}. */
  public Dataset<Row> errors() {
    return part.map(new ErrorRowsFunction(format), format.outputSchema());
  }

  /** From the rows that functions make to the {@code outputs} table, in the input's encoding. */
  public Dataset<Row> outputs(Dataset<Row> made) {
    return tokens.outputs(made);
  }

  /**
   * Partitions of the combine step. Depends on the data alone, so that the same run gives the same
   * files on any cluster.
   */
  public static int combineTasks(LayerPlan plan, long tokens) {
    int topK = plan.spec().topK();
    int partials =
        plan.reduction() == Reduction.LANE_ORDER ? Math.min(topK, plan.placement().lanes()) : topK;
    long perToken = (partials + 1L) * plan.spec().hidden() * Float.BYTES;
    return Math.clamp(Math.ceilDiv(tokens * perToken, COMBINE_TASK_BYTES), 1, MOST_COMBINE_TASKS);
  }
}
