package org.sparkmoe.datasets.checkpoint;

/** What one decoder layer of a checkpoint is. */
public enum LayerKind {
  /** A mixture of experts. */
  MOE,
  /** A plain feed-forward layer. */
  DENSE,
  /** A layer behind the model's last, for multi-token prediction; no part of the model proper. */
  MTP
}
