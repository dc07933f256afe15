package org.sparkmoe.udfs.combine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.kernels.testing.RandomTensors;
import org.sparkmoe.udfs.dispatch.DispatchBlock;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.testing.Flow;
import org.sparkmoe.udfs.testing.Plans;
import org.sparkmoe.udfs.testing.Tokens;
import org.sparkmoe.udfs.tokens.Vectors;

/** What arrives at a lane or at combine in another form than it was sent fails the task. */
@ExtendWith(LocalSpark.class)
final class CombineFunctionTest {
  private static final Plans PLANS = Plans.fixture("qwen2_moe").withLanes(2);
  private static final LayerPlan PLAN = PLANS.plan();
  private static final Tokens TOKENS = Tokens.random(5, 64, new RandomTensors(11));

  /** The token that things happen to. */
  private static final long VICTIM = Tokens.id(3);

  @Test
  void completePartialsPass(SparkSession spark) {
    assertThat(combine(spark, partials(spark))).hasSize(5);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3})
  void missingSlotFails(int slot, SparkSession spark) {
    List<Row> partials = changed(partials(spark), row -> without(row, slot));
    assertThatThrownBy(() -> combine(spark, partials))
        .hasStackTraceContaining("token 1003: slot %d did not arrive".formatted(slot));
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3})
  void duplicateSlotFails(int slot, SparkSession spark) {
    List<Row> partials = partials(spark);
    partials.add(slot(VICTIM, slot));
    assertThatThrownBy(() -> combine(spark, partials))
        .hasStackTraceContaining("token 1003: slot %d arrived twice".formatted(slot));
  }

  @Test
  void slotBeyondTopKFails(SparkSession spark) {
    List<Row> partials = partials(spark);
    partials.add(slot(Tokens.id(4), 4));
    assertThatThrownBy(() -> combine(spark, partials))
        .hasStackTraceContaining("token 1004: slot 4 arrived, the layer has slots 0 to 3");
  }

  @Test
  void missingPartialFails(SparkSession spark) {
    List<Row> partials =
        changed(
            partials(spark),
            row -> {
              byte[] vectors = row.getAs(PartialRow.PARTIALS);
              byte[] cut = Arrays.copyOf(vectors, vectors.length - 4);
              return RowFactory.create(
                  row.getLong(0), row.getAs(1), row.getAs(2), cut, row.getAs(4));
            });
    assertThatThrownBy(() -> combine(spark, partials))
        .hasStackTraceContaining("token 1003: ")
        .hasStackTraceContaining("bytes of partials arrived for ");
  }

  @Test
  void missingSharedOutputFails(SparkSession spark) {
    List<Row> partials =
        changed(
            partials(spark),
            row ->
                RowFactory.create(row.getLong(0), row.getAs(1), row.getAs(2), row.getAs(3), null));
    assertThatThrownBy(() -> combine(spark, partials))
        .hasStackTraceContaining("token 1003: the output of the shared expert did not arrive");
  }

  @Test
  void tokenIdThatIsNotUniqueFails(SparkSession spark) {
    Dataset<Row> twice = TOKENS.rows(spark, 1).union(TOKENS.rows(spark, 1).limit(1));
    assertThatThrownBy(() -> Flow.outputs(twice, PLAN))
        .hasStackTraceContaining("token 1000: slot")
        .hasStackTraceContaining("arrived twice; is its id unique?");
  }

  @Test
  void blockOnAWrongLaneFails(SparkSession spark) {
    Dataset<Row> blocks = Flow.blocks(TOKENS.rows(spark, 1), PLAN);
    assertThatThrownBy(() -> Flow.experts(blocks.coalesce(1), PLAN).collectAsList())
        .hasStackTraceContaining("a block for lane 1 arrived at lane 0");
  }

  @Test
  void expertOfAnotherLaneFails(SparkSession spark) {
    // one lane packs everything for lane 0, and two lanes compute it
    Dataset<Row> blocks = Flow.blocks(TOKENS.rows(spark, 1), PLANS.withLanes(1).plan());
    assertThatThrownBy(() -> Flow.experts(blocks.coalesce(1), PLAN).collectAsList())
        .hasStackTraceContaining("was dispatched to lane 0, which does not own it");
  }

  @Test
  void blocksThatLostCodesFail(SparkSession spark) {
    List<Row> blocks = new ArrayList<>();
    for (Row row : Flow.blocks(TOKENS.rows(spark, 1), PLAN).collectAsList()) {
      Object[] values = IntStream.range(0, row.length()).mapToObj(row::get).toArray();
      int codes = row.fieldIndex("codes");
      values[codes] = Arrays.copyOf((byte[]) values[codes], 10);
      blocks.add(RowFactory.create(values));
    }
    Dataset<Row> table = Flow.table(spark, blocks, DispatchBlock.schema(PLAN.tokens()), 1);
    assertThatThrownBy(() -> Flow.partials(table, PLAN).collectAsList())
        .hasStackTraceContaining("has 10 bytes of codes, expected");
  }

  @Test
  void blocksThatLostWherePartialsStartFail(SparkSession spark) {
    assertThatThrownBy(() -> startingAt(spark, starts -> Arrays.copyOf(starts, 1)))
        .hasStackTraceContaining("has 1 bytes of partial_starts, expected");
    assertThatThrownBy(() -> startingAt(spark, starts -> new byte[starts.length]))
        .hasStackTraceContaining("has a token without a partial at its first slot");
  }

  private static void startingAt(SparkSession spark, UnaryOperator<byte[]> change) {
    List<Row> blocks = new ArrayList<>();
    for (Row row : Flow.blocks(TOKENS.rows(spark, 1), PLAN).collectAsList()) {
      Object[] values = IntStream.range(0, row.length()).mapToObj(row::get).toArray();
      int starts = row.fieldIndex("partial_starts");
      values[starts] = change.apply((byte[]) values[starts]);
      blocks.add(RowFactory.create(values));
    }
    Dataset<Row> table = Flow.table(spark, blocks, DispatchBlock.schema(PLAN.tokens()), 1);
    Flow.partials(table, PLAN).collectAsList();
  }

  private static List<Row> partials(SparkSession spark) {
    Dataset<Row> blocks = Flow.blocks(TOKENS.rows(spark, 2), PLAN);
    return new ArrayList<>(Flow.partials(blocks, PLAN).collectAsList());
  }

  private static List<Row> combine(SparkSession spark, List<Row> partials) {
    Dataset<Row> table = Flow.table(spark, partials, PartialRow.schema(PLAN.tokens()), 2);
    return Flow.combined(table, PLAN).collectAsList();
  }

  /** Every row of the victim changed, the others as they are. */
  private static List<Row> changed(List<Row> partials, UnaryOperator<Row> change) {
    return partials.stream()
        .map(row -> row.getLong(0) == VICTIM ? change.apply(row) : row)
        .toList();
  }

  private static List<Integer> slots(Row row) {
    return Arrays.stream(Vectors.ints(row.getAs(PartialRow.SLOTS))).boxed().toList();
  }

  /** The row with some of its slots only, and all of its partials. */
  private static Row select(Row row, List<Integer> slots) {
    Object[] values = IntStream.range(0, row.length()).mapToObj(row::get).toArray();
    int[] chosen = slots.stream().mapToInt(Integer::intValue).toArray();
    values[PartialRow.SLOTS] = Vectors.encode(chosen, 0, chosen.length);
    return RowFactory.create(values);
  }

  private static Row without(Row row, int slot) {
    return select(row, slots(row).stream().filter(held -> held != slot).toList());
  }

  /** A row with a slot and no partial. */
  private static Row slot(long id, int slot) {
    return RowFactory.create(
        id, Vectors.encode(new int[] {slot}, 0, 1), new byte[0], new byte[0], null);
  }
}
