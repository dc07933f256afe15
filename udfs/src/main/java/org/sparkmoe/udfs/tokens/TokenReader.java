package org.sparkmoe.udfs.tokens;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Iterator;
import org.apache.spark.sql.Row;
import org.sparkmoe.kernels.tensor.Activations;
import org.sparkmoe.kernels.tensor.DType;

/**
 * Reads rows of a partition in batches and checks each. A row that cannot be scored keeps its place
 * in the batch, with the reason; the others are numbered densely and their vectors stand together.
 *
 * <p>One batch at a time: {@link #read} overwrites the one before.
 */
public final class TokenReader {
  private final Iterator<Row> rows;
  private final TokenFormat format;
  private final int capacity;
  private final long[] duplicates;
  private final MemorySegment hidden;
  private final DType held;
  private final HiddenDecoder decoder;

  // Not the rows themselves: they would hold every vector a second time.
  private final Object[] ids;
  private final Object[] kept;
  private final String[] errors;
  private final int[] tokenOf;
  private final int[] rowOf;
  private int size;
  private int tokens;

  /**
   * A reader that holds vectors in f32.
   *
   * @param capacity most rows of a batch
   * @param arena owns the batch's vectors, capacity × hidden
   */
  public TokenReader(Iterator<Row> rows, TokenFormat format, int capacity, Arena arena) {
    this(rows, format, capacity, DType.F32, arena);
  }

  /**
   * As above.
   *
   * @param held the type of the vectors of a batch: F32, or that of the rows
   */
  public TokenReader(
      Iterator<Row> rows, TokenFormat format, int capacity, DType held, Arena arena) {
    this.held = held;
    this.rows = rows;
    this.format = format;
    this.capacity = capacity;
    this.duplicates =
        format.duplicatesOrNull() == null ? new long[0] : format.duplicatesOrNull().value();
    this.hidden = arena.allocate(held.bytes((long) capacity * format.hidden()), 64);
    this.decoder = new HiddenDecoder(format.hidden(), format.dtype(), held);
    this.ids = new Object[capacity];
    this.kept = new Object[capacity];
    this.errors = new String[capacity];
    this.tokenOf = new int[capacity];
    this.rowOf = new int[capacity];
  }

  /** Reads the next batch; false when the partition is exhausted. */
  public boolean read() {
    size = 0;
    tokens = 0;
    while (size < capacity && rows.hasNext()) {
      Row row = rows.next();
      ids[size] = row.get(TokenFormat.TOKEN_ID);
      kept[size] = format.keeps() ? row.get(TokenFormat.KEPT) : null;
      errors[size] = accept(row);
      if (errors[size] == null) {
        tokenOf[size] = tokens;
        rowOf[tokens++] = size;
      }
      size++;
    }
    return size > 0;
  }

  /** Rows of the batch, good and bad. */
  public int size() {
    return size;
  }

  /** Good rows of the batch. */
  public int tokens() {
    return tokens;
  }

  /** Vectors of the good rows, tokens × hidden; f32 unless the reader holds another type. */
  public MemorySegment hidden() {
    return hidden;
  }

  /** As {@link #hidden}, with their type. */
  public Activations activations() {
    return new Activations(hidden, held);
  }

  /** Why row {@code row} cannot be scored, or null. */
  public String error(int row) {
    return errors[row];
  }

  /** Number of the good row {@code row} among the batch's tokens. */
  public int token(int row) {
    return tokenOf[row];
  }

  /** Row of the batch that holds token {@code token}. */
  public int row(int token) {
    return rowOf[token];
  }

  /** The token id of row {@code row}, null only where the row is bad. */
  public Object tokenId(int row) {
    return ids[row];
  }

  /** The token id of token {@code token}. */
  public long id(int token) {
    return (long) ids[rowOf[token]];
  }

  /** The carried columns of row {@code row}, null where the format carries none. */
  public Object kept(int row) {
    return kept[row];
  }

  /** Puts the vector of a good row behind those already there; else says what is wrong. */
  private String accept(Row row) {
    if (row.isNullAt(TokenFormat.TOKEN_ID)) {
      return "token_id is null";
    }
    if (row.isNullAt(TokenFormat.HIDDEN)) {
      return "hidden is null";
    }
    byte[] vector = row.getAs(TokenFormat.HIDDEN);
    DType dtype = format.dtype();
    long expected = dtype.bytes(format.hidden());
    if (vector.length != expected) {
      return vector.length % dtype.bytes() == 0
          ? "hidden has %d values, expected %d"
              .formatted(vector.length / dtype.bytes(), format.hidden())
          : "hidden has %d bytes, expected %d (%d values of %s)"
              .formatted(vector.length, expected, format.hidden(), dtype);
    }
    String reason = decoder.decode(vector, hidden, tokens);
    // Last: what is wrong with the row itself is told before what is wrong beside it.
    boolean repeated = Arrays.binarySearch(duplicates, row.getLong(TokenFormat.TOKEN_ID)) >= 0;
    return reason == null && repeated ? "token_id is not unique" : reason;
  }
}
