package org.sparkmoe.datasets.checkpoint;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;

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

  /** The tensors of the first routed expert and of the shared one, without biases. */
  List<String> projections() {
    List<String> names =
        new ArrayList<>(
            switch (experts) {
              case ExpertLayout.PerExpert e -> List.of(e.gate(0), e.up(0), e.down(0));
              case ExpertLayout.Fused e -> List.of(e.gateUp(), e.down());
              case ExpertLayout.Flat e -> List.of(e.gate(), e.up(), e.down());
            });
    if (sharedOrNull != null) {
      names.add(sharedOrNull.gate());
      names.add(sharedOrNull.down());
    }
    return names;
  }

  /**
   * The shared expert, S wide.
   *
   * @param gate [S, H], or both projections as [2S, H] where {@code upOrNull} is null
   * @param upOrNull [S, H]
   * @param down [H, S]
   */
  record Shared(String gate, String upOrNull, String down) implements Serializable {}
}
