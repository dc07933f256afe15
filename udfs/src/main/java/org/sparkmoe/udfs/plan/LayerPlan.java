package org.sparkmoe.udfs.plan;

import java.io.Serializable;
import org.apache.spark.util.SerializableConfiguration;
import org.sparkmoe.datasets.checkpoint.MoeLayer;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.permute.ExpertPlacement;
import org.sparkmoe.kernels.quant.LayerCodecs;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.udfs.tokens.TokenFormat;

/**
 * One layer over one table of tokens: the choices that must be the same in every task, so that a
 * retry on another executor gives the same bytes.
 *
 * @param runId distinguishes runs: weights are loaded once per run, never taken over from an
 *     earlier one
 * @param layer where the weights are and what they compute
 * @param backend chosen once, on the driver
 * @param codecs how activations are quantized: the input's also says how they travel in dispatch;
 *     all scalar scales are here
 * @param placement experts to lanes; not used by the replicated form
 * @param reduction in which order a token's slots are summed; not used by the replicated form
 * @param tokens form of the input rows
 * @param outputDtype elements of the output column
 * @param batchBytes memory that one task may fill with vectors: inputs and outputs of experts
 * @param storeBytes packed weights that an executor may hold
 * @param hadoop configuration to reach the checkpoint with
 */
public record LayerPlan(
    String runId,
    MoeLayer layer,
    Backend backend,
    LayerCodecs codecs,
    ExpertPlacement placement,
    Reduction reduction,
    TokenFormat tokens,
    DType outputDtype,
    long batchBytes,
    long storeBytes,
    SerializableConfiguration hadoop)
    implements Serializable {
  /**
   * Vectors of all tasks that an executor runs at a time. The kernels' own workspaces come on top,
   * some 12 MiB a task at a width of 2048.
   */
  private static final long EXECUTOR_BATCH_BYTES = 128L << 20;

  private static final int MOST_SHARES = 5;

  /** The kernels' own workspace, at a width of some thousands. */
  private static final long WORKSPACE_BYTES = 16L << 20;

  /** Most bytes of a dispatch block. */
  private static final int LARGEST_BLOCK = 4 << 20;

  private static final int SMALLEST_BLOCK = 256 << 10;

  /** Blocks that a task fills at the same time, one per lane, take no more than this together. */
  private static final int OPEN_BLOCKS = 32 << 20;

  private static final int MOST_TOKENS = 8192;

  public MoeLayerSpec spec() {
    return layer.spec();
  }

  /**
   * The {@link #batchBytes} of tasks of which an executor runs {@code slots} at a time. Beyond 5
   * the share shrinks no further, as the products of experts would get too small: give such
   * executors fewer tasks of more threads ({@code spark.task.cpus}).
   */
  public static long batchBytes(int slots) {
    return EXECUTOR_BATCH_BYTES / Math.min(slots, MOST_SHARES);
  }

  /** Tokens that are computed together: as many as {@link #batchBytes} holds, at most 8192. */
  public int batchTokens() {
    return batchTokens(spec(), batchBytes);
  }

  /** As {@link #batchTokens()}, before there is a plan. */
  public static int batchTokens(MoeLayerSpec spec, long batchBytes) {
    // per token: one output per slot, and at times a copy of its vector; and twice, because one
    // batch is read or handed out while another is computed, its vector and its result
    long perToken = DType.F32.bytes((spec.topK() + 5L) * spec.hidden());
    return Math.clamp(batchBytes / perToken, 1, MOST_TOKENS);
  }

  /**
   * Whether a lane may compute so many tokens together, with so many partials and assignments in
   * all.
   */
  public boolean holds(long tokens, long partials, long assignments) {
    long shared = spec().shared().isPresent() ? 2 * tokens : 0;
    // twice: one batch is read or handed out while another is computed; but for the outputs of
    // slots, which are there while it is
    long vectors = 2 * (2 * partials + shared) + assignments;
    return tokens <= MOST_TOKENS && DType.F32.bytes(vectors * spec().hidden()) <= batchBytes;
  }

  /** All buffers of one running task, for plans with so many {@link #batchBytes}. */
  public static long taskBytes(long batchBytes) {
    return batchBytes + WORKSPACE_BYTES;
  }

  /**
   * Whether a token's own vector travels to its home lane beside the codes: the shared expert reads
   * it, and weighed or quantized codes are not it.
   */
  public boolean sendsHomeHidden() {
    return sendsHomeHidden(spec(), codecs);
  }

  /** As {@link #sendsHomeHidden()}, before there is a plan. */
  public static boolean sendsHomeHidden(MoeLayerSpec spec, LayerCodecs codecs) {
    boolean codesDiffer = spec.routing().weightOnInput() || !codecs.input().isIdentity();
    return spec.shared().isPresent() && codesDiffer && !sharedTakesCodes(spec, codecs);
  }

  /**
   * Elements of the vectors of dispatch, where codes are not those of a scheme: the table's own,
   * which hold its values exactly, or f32 where the router's weight has multiplied them.
   */
  public DType dispatchedType() {
    return dispatchedType(spec(), codecs, tokens.dtype());
  }

  private static DType dispatchedType(MoeLayerSpec spec, LayerCodecs codecs, DType tokens) {
    boolean asTheyAre = codecs.input().isIdentity() && !spec.routing().weightOnInput();
    return asTheyAre ? tokens : DType.F32;
  }

  /** Bytes of a token's codes in dispatch. */
  public long codeBytes() {
    return codeBytes(spec(), codecs, tokens.dtype());
  }

  /**
   * As {@link #codeBytes()}, before there is a plan.
   *
   * @param tokens elements of the table's vectors
   */
  public static long codeBytes(MoeLayerSpec spec, LayerCodecs codecs, DType tokens) {
    return codecs.input().isIdentity()
        ? dispatchedType(spec, codecs, tokens).bytes((long) spec.hidden())
        : codecs.input().scheme().codeBytes(spec.hidden());
  }

  /**
   * Whether the shared expert is given what the codes decode to: it is quantized as the routed ones
   * are, so its own codec would make the same of the token's vector. A gate reads the vector
   * itself.
   */
  public boolean sharedTakesCodes() {
    return sharedTakesCodes(spec(), codecs);
  }

  private static boolean sharedTakesCodes(MoeLayerSpec spec, LayerCodecs codecs) {
    return spec.shared().isPresent()
        && !spec.shared().get().gated()
        && !spec.routing().weightOnInput()
        && !codecs.input().isIdentity()
        && codecs.sharedInput().equals(codecs.input());
  }

  /**
   * Bytes at which a dispatch block is closed: 4 MiB, less where very many lanes are filled at
   * once. A lane computes a block at once, so that one is closed too where another token might be
   * more than it {@link #holds}.
   */
  public int blockBytes() {
    return Math.clamp(OPEN_BLOCKS / placement.lanes(), SMALLEST_BLOCK, LARGEST_BLOCK);
  }
}
