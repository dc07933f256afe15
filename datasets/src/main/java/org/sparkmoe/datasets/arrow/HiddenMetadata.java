package org.sparkmoe.datasets.arrow;

/** Keys of column metadata by which a source tells what the bytes of a hidden column are. */
public final class HiddenMetadata {
  /** Element type of a BINARY column: {@code f32}, {@code bf16} or {@code f16}. */
  public static final String DTYPE = "moe.dtype";

  /** Elements in every row, where the file fixes it. */
  public static final String WIDTH = "moe.width";

  /** Bytes in every row of a BINARY column, where the file fixes them but not their type. */
  public static final String BYTES = "moe.bytes";

  /** Why a column of the file cannot be read. Selecting such a column fails with this text. */
  public static final String UNSUPPORTED = "moe.unsupported";

  private HiddenMetadata() {}
}
