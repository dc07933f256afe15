package org.sparkmoe.udfs.dispatch;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.checkpoint.SafetensorsWriter;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.permute.ExpertPlacement;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.quant.ActivationScheme;
import org.sparkmoe.kernels.testing.RandomTensors;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.testing.Flow;
import org.sparkmoe.udfs.testing.PlainLayer;
import org.sparkmoe.udfs.testing.Plans;
import org.sparkmoe.udfs.testing.Tokens;

/** The layout that {@link DispatchBlock} documents, read here by hand. */
@ExtendWith(LocalSpark.class)
final class DispatchBlockTest {
  @TempDir private Path folder;

  @Test
  void rowsObeyTheDocumentedLayout(SparkSession spark) {
    Plans plans =
        Plans.fixture("qwen2_moe")
            .withLanes(3)
            .keeping(Tokens.KEPT)
            .withCodec(ActivationCodec.of(ActivationScheme.int8PerBlock(16)));
    LayerPlan plan = plans.plan();
    Tokens tokens = tokens(plans, 23, 1);
    ExpertPlacement placement = plan.placement();
    Map<Integer, Row> blocks = new TreeMap<>();
    for (Row row : Flow.blocks(tokens.keptRows(spark, 1), plan).collectAsList()) {
      assertThat(blocks.put(row.getInt(0), row)).as("one block a lane").isNull();
    }
    assertThat(blocks.keySet()).containsExactly(0, 1, 2);
    try (PlainLayer plain = new PlainLayer(plans.layer(), Backend.SCALAR)) {
      for (int lane = 0; lane < 3; lane++) {
        Unpacked block = new Unpacked(blocks.get(lane));
        int n = 0;
        for (int t = 0; t < tokens.size(); t++) {
          PlainLayer.Route route = plain.route(tokens.vector(t));
          int thisLane = lane;
          int[] slots =
              IntStream.range(0, 4)
                  .filter(slot -> placement.laneOf(route.ids()[slot], 0) == thisLane)
                  .boxed()
                  .sorted(Comparator.comparingInt(slot -> route.ids()[slot]))
                  .mapToInt(Integer::intValue)
                  .toArray();
          if (slots.length == 0) {
            continue;
          }
          assertThat(block.tokenIds.getLong()).isEqualTo(Tokens.id(t));
          int first = block.slotOffsets.getInt(4 * n);
          assertThat(block.slotOffsets.getInt(4 * (n + 1))).isEqualTo(first + slots.length);
          for (int slot : slots) {
            assertThat(block.topkSlots.getInt()).isEqualTo(slot);
            assertThat(block.expertIds.getInt()).isEqualTo(route.ids()[slot]);
            assertThat(block.topkWeights.getFloat()).isEqualTo(route.weights()[slot]);
            assertThat(block.partialStarts.get())
                .isEqualTo((byte) (startsPartial(route.ids(), slot, placement) ? 1 : 0));
          }
          float[] received = PlainLayer.int8(16).through(tokens.vector(t));
          for (int h = 0; h < 64; h++) {
            float scale = block.scales.getFloat(4 * (4 * n + h / 16));
            assertThat(block.codes.get() * scale).isEqualTo(received[h]);
          }
          boolean home = placement.laneOf(route.ids()[0], 0) == lane;
          assertThat(block.home.get()).isEqualTo((byte) (home ? 1 : 0));
          if (home) {
            for (float value : tokens.vector(t)) {
              assertThat(block.homeHidden.getFloat()).isEqualTo(value);
            }
            assertThat(block.kept.removeFirst().getString(0)).isEqualTo("t" + t);
          }
          n++;
        }
        assertThat(block.n).isEqualTo(n);
        assertThat(block.slotOffsets.getInt(0)).isZero();
        assertThat(block.slotOffsets.limit()).isEqualTo(4 * (n + 1));
        assertThat(block.scales.limit()).isEqualTo(4 * 4 * n);
        block.assertAllRead();
      }
    }
  }

  @Test
  void tokenGoesOncePerLaneAndSlotOnceInAll(SparkSession spark) {
    Plans plans = Plans.fixture("olmoe").withLanes(2);
    Tokens tokens = tokens(plans, 40, 2);
    Map<Long, Set<Integer>> slots = new HashMap<>();
    Set<String> seen = new HashSet<>();
    int homes = 0;
    for (Row row : Flow.blocks(tokens.rows(spark, 3), plans.plan()).collectAsList()) {
      DispatchBlock block = DispatchBlock.of(row);
      for (int t = 0; t < block.tokens(); t++) {
        assertThat(seen.add(block.tokenIds()[t] + " on " + block.lane())).isTrue();
        for (int a = block.slotOffsets()[t]; a < block.slotOffsets()[t + 1]; a++) {
          assertThat(
                  slots
                      .computeIfAbsent(block.tokenIds()[t], absent -> new HashSet<>())
                      .add(block.topkSlots()[a]))
              .isTrue();
        }
        homes += block.home()[t];
      }
    }
    assertThat(slots).hasSize(40).allSatisfy((id, found) -> assertThat(found).hasSize(4));
    assertThat(homes).isEqualTo(40);
  }

  @Test
  void blocksCloseAtTheLimit(SparkSession spark) {
    Plans plans = Plans.fixture("olmoe").withLanes(256);
    LayerPlan plan = plans.plan();
    Tokens tokens = tokens(plans, 6000, 3);
    Map<Integer, Integer> lastOf = new HashMap<>();
    int several = 0;
    for (Row row : Flow.blocks(tokens.rows(spark, 1), plan).collectAsList()) {
      int bytes = IntStream.range(2, 10).map(c -> row.<byte[]>getAs(c).length).sum();
      assertThat(bytes).isLessThanOrEqualTo(plan.blockBytes() + 400);
      Integer before = lastOf.put(row.getInt(0), bytes);
      if (before != null) {
        assertThat(before)
            .as("only the last one is smaller")
            .isGreaterThanOrEqualTo(plan.blockBytes());
        several++;
      }
    }
    assertThat(plan.blockBytes()).isEqualTo(256 << 10);
    assertThat(several).isPositive();
  }

  @Test
  void samePartitionGivesTheSameBlocks(SparkSession spark) {
    Plans plans = Plans.fixture("olmoe").withLanes(5);
    Tokens tokens = tokens(plans, 50, 4);
    List<String> first = texts(Flow.blocks(tokens.rows(spark, 2), plans.plan()));
    assertThat(texts(Flow.blocks(tokens.rows(spark, 2), plans.plan()))).isEqualTo(first);
  }

  @Test
  void lanesHoldEveryBlock(SparkSession spark) {
    Plans plans = Plans.fixture("olmoe").withLanes(2);
    Tokens tokens = tokens(plans, 80, 8);
    Dataset<Row> rows = tokens.rows(spark, 2);
    SortedMap<Long, byte[]> expected = Flow.outputs(rows, plans.plan());
    for (long bytes : new long[] {1, 9_000, 30_000}) {
      LayerPlan plan = plans.withBatchBytes(bytes).plan();
      int largest = 0;
      for (Row row : Flow.blocks(rows, plan).collectAsList()) {
        DispatchBlock block = DispatchBlock.of(row);
        assertThat(
                block.tokens() == 1
                    || plan.holds(block.tokens(), block.partials(), block.assignments()))
            .as("%d tokens in %d bytes", block.tokens(), bytes)
            .isTrue();
        largest = Math.max(largest, block.tokens());
      }
      // no fewer than are read at once: blocks do not end with what was read
      assertThat(largest).isGreaterThanOrEqualTo(plan.batchTokens());
      SortedMap<Long, byte[]> found = Flow.outputs(rows, plan);
      assertThat(found.keySet()).isEqualTo(expected.keySet());
      expected.forEach((id, output) -> assertThat(found.get(id)).isEqualTo(output));
    }
  }

  @Test
  void emptyPartitionGivesNoBlock(SparkSession spark) {
    Plans plans = Plans.fixture("olmoe").withLanes(2);
    assertThat(Flow.blocks(new Tokens(List.of()).rows(spark, 2), plans.plan()).collectAsList())
        .isEmpty();
    List<Row> blocks =
        Flow.blocks(tokens(plans, 1, 5).rows(spark, 4), plans.plan()).collectAsList();
    assertThat(blocks).isNotEmpty().allSatisfy(row -> assertThat(row.getInt(1)).isEqualTo(1));
  }

  @Test
  void keptColumnsFollowTheirTokenToTheEnd(SparkSession spark) {
    Plans plans = Plans.fixture("olmoe").withLanes(3).keeping(Tokens.KEPT).withBatchBytes(9000);
    LayerPlan plan = plans.plan();
    Tokens tokens = tokens(plans, 40, 6);
    Dataset<Row> blocks = Flow.blocks(tokens.keptRows(spark, 2), plan);
    List<Row> outputs = Flow.combined(Flow.partials(blocks, plan), plan).collectAsList();
    assertThat(outputs).hasSize(40);
    for (Row row : outputs) {
      assertThat(row.getStruct(3).getString(0)).isEqualTo("t" + Tokens.number(row.getLong(0)));
    }
  }

  @Test
  void tokenLargerThanABlockIsABlockOfItsOwn(SparkSession spark) throws Exception {
    int hidden = 70_000;
    Plans plans = wideMixtral(hidden).withLanes(256);
    LayerPlan plan = plans.plan();
    assertThat(plan.blockBytes()).isLessThan(4 * hidden);
    Tokens tokens = tokens(plans, 3, 7);
    Dataset<Row> rows = tokens.rows(spark, 1);
    assertThat(Flow.blocks(rows, plan).collectAsList())
        .hasSize(6)
        .allSatisfy(row -> assertThat(row.getInt(1)).isEqualTo(1));
    // 256 lanes make 256 tasks: the same tokens over fewer lanes give the outputs
    LayerPlan two = plans.withLanes(2).plan();
    assertThat(Flow.outputs(rows, two)).hasSize(3);
  }

  @Test
  void anyOrderAndJoiningOfBlocksGivesTheSamePartialRows(SparkSession spark) {
    Plans plans =
        Plans.fixture("qwen2_moe")
            .withLanes(2)
            .keeping(Tokens.KEPT)
            .withCodec(ActivationCodec.of(ActivationScheme.int8PerBlock(16)));
    LayerPlan plan = plans.plan();
    Tokens tokens = tokens(plans, 60, 8);
    Map<String, Row> expected =
        partials(Flow.partials(Flow.blocks(tokens.keptRows(spark, 1), plan), plan));
    long seed = System.nanoTime();
    Random random = new Random(seed);
    for (int round = 0; round < 6; round++) {
      int parts = 1 + random.nextInt(12);
      List<Row> blocks =
          new ArrayList<>(Flow.blocks(tokens.keptRows(spark, parts), plan).collectAsList());
      Collections.shuffle(blocks, random);
      // room for one token, a few or all
      LayerPlan joining = plans.withBatchBytes(1 + random.nextLong(200_000)).plan();
      Dataset<Row> shuffled =
          Flow.table(spark, blocks, DispatchBlock.schema(plan.tokens()), 1 + random.nextInt(3));
      Map<String, Row> actual = partials(Flow.partials(shuffled, joining));
      String context = "seed %d, round %d".formatted(seed, round);
      assertThat(actual.keySet()).as(context).isEqualTo(expected.keySet());
      actual.forEach(
          (key, row) -> assertThat(text(row)).as(context).isEqualTo(text(expected.get(key))));
    }
  }

  /**
   * Whether the largest subtree around the slot's expert with chosen experts of its lane alone has
   * none before it.
   */
  private static boolean startsPartial(int[] ids, int slot, ExpertPlacement placement) {
    int lane = placement.laneOf(ids[slot], 0);
    int level = 0;
    while (level < 8
        && lanes(ids, ids[slot] >> (level + 1), level + 1, placement).equals(Set.of(lane))) {
      level++;
    }
    int root = level;
    return Arrays.stream(ids).noneMatch(id -> id >> root == ids[slot] >> root && id < ids[slot]);
  }

  private static Set<Integer> lanes(int[] ids, int prefix, int level, ExpertPlacement placement) {
    Set<Integer> lanes = new HashSet<>();
    for (int id : ids) {
      if (id >> level == prefix) {
        lanes.add(placement.laneOf(id, 0));
      }
    }
    return lanes;
  }

  /** A row of a block, its buffers little-endian. */
  private static final class Unpacked {
    private final int n;
    private final ByteBuffer tokenIds;
    private final ByteBuffer slotOffsets;
    private final ByteBuffer topkSlots;
    private final ByteBuffer expertIds;
    private final ByteBuffer topkWeights;
    private final ByteBuffer partialStarts;
    private final ByteBuffer codes;
    private final ByteBuffer scales;
    private final ByteBuffer home;
    private final ByteBuffer homeHidden;
    private final List<Row> kept;

    private Unpacked(Row row) {
      n = row.getInt(row.fieldIndex("n"));
      tokenIds = buffer(row, "token_ids");
      slotOffsets = buffer(row, "slot_offsets");
      topkSlots = buffer(row, "topk_slots");
      expertIds = buffer(row, "expert_ids");
      topkWeights = buffer(row, "topk_weights");
      partialStarts = buffer(row, "partial_starts");
      codes = buffer(row, "codes");
      scales = buffer(row, "scales");
      home = buffer(row, "home");
      homeHidden = buffer(row, "home_hidden");
      kept = new ArrayList<>(row.getList(row.fieldIndex("kept")));
    }

    private static ByteBuffer buffer(Row row, String column) {
      return ByteBuffer.wrap(row.<byte[]>getAs(column)).order(ByteOrder.LITTLE_ENDIAN);
    }

    private void assertAllRead() {
      for (ByteBuffer buffer :
          List.of(
              tokenIds,
              topkSlots,
              expertIds,
              topkWeights,
              partialStarts,
              codes,
              home,
              homeHidden)) {
        assertThat(buffer.remaining()).isZero();
      }
      assertThat(kept).isEmpty();
    }
  }

  private Plans wideMixtral(int hidden) throws Exception {
    Files.writeString(
        folder.resolve("config.json"),
        """
        {"model_type":"mixtral","hidden_size":%d,"intermediate_size":1,"num_local_experts":4,
         "num_experts_per_tok":2,"num_hidden_layers":1,"hidden_act":"silu"}
        """
            .formatted(hidden));
    String module = "model.layers.0.block_sparse_moe.";
    SafetensorsWriter writer = new SafetensorsWriter().addRandom(module + "gate.weight", 4, hidden);
    for (int e = 0; e < 4; e++) {
      String expert = module + "experts." + e;
      writer
          .addRandom(expert + ".w1.weight", 1, hidden)
          .addRandom(expert + ".w3.weight", 1, hidden)
          .addRandom(expert + ".w2.weight", hidden, 1);
    }
    writer.write(folder.resolve("model.safetensors"));
    return Plans.of(folder, 0);
  }

  private static Tokens tokens(Plans plans, int count, long seed) {
    return Tokens.random(count, plans.layer().spec().hidden(), new RandomTensors(seed));
  }

  /** By token and the slots it holds: each lane makes one row of a token. */
  private static Map<String, Row> partials(Dataset<Row> partials) {
    Map<String, Row> byToken = new TreeMap<>();
    for (Row row : partials.collectAsList()) {
      assertThat(byToken.put(row.getLong(0) + Arrays.toString(row.<byte[]>getAs(1)), row)).isNull();
    }
    return byToken;
  }

  private static List<String> texts(Dataset<Row> rows) {
    return rows.collectAsList().stream().map(DispatchBlockTest::text).toList();
  }

  /** All values of a row, bytes included. */
  private static String text(Row row) {
    return IntStream.range(0, row.length())
        .mapToObj(row::get)
        .map(
            value -> value instanceof byte[] bytes ? Arrays.toString(bytes) : String.valueOf(value))
        .toList()
        .toString();
  }
}
