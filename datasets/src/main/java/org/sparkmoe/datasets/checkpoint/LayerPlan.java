package org.sparkmoe.datasets.checkpoint;

import java.io.Serializable;
import java.util.List;
import org.sparkmoe.datasets.checkpoint.quant.StoredWeight;
import org.sparkmoe.kernels.layer.ExpertFormats;

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
   * @param gate [S, H]
   * @param up [S, H]
   * @param down [H, S]
   */
  record Shared(StoredWeight gate, StoredWeight up, StoredWeight down) implements Serializable {
    /** How it is stored; where gate and up differ, the larger. */
    ExpertFormats formats() {
      return new ExpertFormats(ExpertLayout.largest(List.of(gate, up)), down.format());
    }
  }
}
