package org.sparkmoe.udfs.dispatch;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.sparkmoe.udfs.plan.LayerPlan;
import scala.jdk.javaapi.CollectionConverters;

/** The block that is being filled for one lane. */
final class BlockBuilder {
  private static final int MOST_KEPT = 1024;

  private final int lane;
  private final boolean keeps;
  private final GrowingBuffer tokenIds = new GrowingBuffer();
  private final GrowingBuffer slotOffsets = new GrowingBuffer();
  private final GrowingBuffer topkSlots = new GrowingBuffer();
  private final GrowingBuffer expertIds = new GrowingBuffer();
  private final GrowingBuffer topkWeights = new GrowingBuffer();
  private final GrowingBuffer partialStarts = new GrowingBuffer();
  private final GrowingBuffer codes = new GrowingBuffer();
  private final GrowingBuffer scales = new GrowingBuffer();
  private final GrowingBuffer home = new GrowingBuffer();
  private final GrowingBuffer homeHidden = new GrowingBuffer();
  private final List<Object> kept = new ArrayList<>();
  private int tokens;
  private int partials;
  private int assignments;

  BlockBuilder(int lane, boolean keeps) {
    this.lane = lane;
    this.keeps = keeps;
    slotOffsets.putInt(0);
  }

  /** Starts a token; its slots follow. */
  void token(long tokenId, MemorySegment tokenCodes, MemorySegment tokenScales) {
    tokenIds.putLong(tokenId);
    codes.put(tokenCodes);
    scales.put(tokenScales);
    tokens++;
  }

  /** A slot of the current token, by ascending expert; whether it begins another partial. */
  void slot(int slot, int expertId, float weight, boolean startsPartial) {
    topkSlots.putInt(slot);
    expertIds.putInt(expertId);
    topkWeights.putInt(Float.floatToRawIntBits(weight));
    partialStarts.putByte((byte) (startsPartial ? 1 : 0));
    partials += startsPartial ? 1 : 0;
    assignments++;
  }

  /** Ends a token that is at home on another lane. */
  void endAway() {
    slotOffsets.putInt(assignments);
    home.putByte((byte) 0);
  }

  /** Ends a token that is at home here, with its f32 vector (may be empty) and its kept columns. */
  void endHome(MemorySegment hidden, Object keptRow) {
    slotOffsets.putInt(assignments);
    home.putByte((byte) 1);
    homeHidden.put(hidden);
    if (keeps) {
      kept.add(keptRow);
    }
  }

  boolean isEmpty() {
    return tokens == 0;
  }

  /**
   * Whether the block is to be closed: at a number of bytes, where a lane might not hold another
   * token, and with kept columns, whose size nobody knows, also at a number of tokens.
   */
  boolean isFull(LayerPlan plan) {
    int slots = plan.spec().topK();
    return bytes() >= plan.blockBytes()
        || !plan.holds(tokens + 1L, (long) partials + slots, (long) assignments + slots)
        || kept.size() >= MOST_KEPT;
  }

  private long bytes() {
    return (long) codes.size()
        + scales.size()
        + homeHidden.size()
        + tokenIds.size()
        + slotOffsets.size()
        + 3L * topkSlots.size()
        + partialStarts.size();
  }

  /** The block as a row; the builder starts anew. */
  Row finish() {
    List<Object> columns = new ArrayList<>();
    columns.add(lane);
    columns.add(tokens);
    for (GrowingBuffer buffer :
        List.of(
            tokenIds,
            slotOffsets,
            topkSlots,
            expertIds,
            topkWeights,
            partialStarts,
            codes,
            scales,
            home)) {
      columns.add(buffer.drain());
    }
    columns.add(homeHidden.size() == 0 ? null : homeHidden.drain());
    if (keeps) {
      // Spark's encoder of rows takes a Scala sequence for an array, not a Java list.
      columns.add(CollectionConverters.asScala(new ArrayList<>(kept)));
      kept.clear();
    }
    tokens = 0;
    partials = 0;
    assignments = 0;
    slotOffsets.putInt(0);
    return RowFactory.create(columns.toArray());
  }
}
