package org.sparkmoe.job.api;

/**
 * Where programs begin:
 *
 * <pre>
 *   Dataset&lt;Row&gt; outputs = Moe.layer("/models/OLMoE-1B-7B", 3).backend("onednn").transform(tokens);
 * </pre>
 */
public final class Moe {
  private Moe() {}

  /**
   * A layer of a checkpoint with the options that {@code moe run} starts from. Nothing is read
   * before there are tokens.
   *
   * @param model checkpoint folder, a Hadoop path that every executor reaches
   * @param layer decoder layer, from 0
   */
  public static LayerTransform layer(String model, int layer) {
    return new LayerTransform(model, layer);
  }
}
