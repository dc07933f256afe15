package org.sparkmoe.datasets.checkpoint;

import java.io.Serializable;

/**
 * Which tensor plays which part in a layer. All names are full.
 *
 * @param router [E, H]
 * @param routerBiasOrNull E values
 * @param selectionBiasOrNull E values
 * @param experts the routed experts
 * @param sharedOrNull the shared expert
 * @param sharedGateOrNull H values
 * @param outputBiasOrNull H values
 */
record LayerPlan(
    String router,
    String routerBiasOrNull,
    String selectionBiasOrNull,
    ExpertLayout experts,
    Shared sharedOrNull,
    String sharedGateOrNull,
    String outputBiasOrNull)
    implements Serializable {

  /**
   * The shared expert, S wide.
   *
   * @param gate [S, H], or both projections as [2S, H] where {@code upOrNull} is null
   * @param upOrNull [S, H]
   * @param down [H, S]
   */
  record Shared(String gate, String upOrNull, String down) implements Serializable {}
}
