package org.sparkmoe.datasets.checkpoint;

import java.io.Serializable;
import java.util.List;

/**
 * How a layer's routed experts lie in tensors; H hidden, I width, E experts. All names are full.
 */
sealed interface ExpertLayout extends Serializable {

  /** The tensors of gate and up projections, of the first expert where each has its own. */
  List<String> inputs();

  /** The tensors of down projections, of the first expert where each has its own. */
  List<String> downs();

  /**
   * Three matrices for each expert: gate and up [I, H], down [H, I].
   *
   * @param prefix what precedes the expert's number
   * @param gate what follows it, for the gate projection
   * @param up likewise
   * @param down likewise
   */
  record PerExpert(String prefix, String gate, String up, String down) implements ExpertLayout {
    String gate(int expert) {
      return prefix + expert + gate;
    }

    String up(int expert) {
      return prefix + expert + up;
    }

    String down(int expert) {
      return prefix + expert + down;
    }

    @Override
    public List<String> inputs() {
      return List.of(gate(0), up(0));
    }

    @Override
    public List<String> downs() {
      return List.of(down(0));
    }
  }

  /**
   * All experts in two tensors: gate and up together, and down.
   *
   * @param transposed false: [E, 2I, H] and [E, H, I]; true: [E, H, 2I] and [E, I, H]
   * @param interleaved whether gate and up alternate instead of following each other
   * @param gateUpBiasOrNull [E, 2I], ordered as the weights
   * @param downBiasOrNull [E, H]
   */
  record Fused(
      String gateUp,
      String down,
      boolean transposed,
      boolean interleaved,
      String gateUpBiasOrNull,
      String downBiasOrNull)
      implements ExpertLayout {
    @Override
    public List<String> inputs() {
      return List.of(gateUp);
    }

    @Override
    public List<String> downs() {
      return List.of(down);
    }
  }

  /** DBRX: [E·I, H] for each projection; the down projection is stored by inputs, not outputs. */
  record Flat(String gate, String up, String down) implements ExpertLayout {
    @Override
    public List<String> inputs() {
      return List.of(gate, up);
    }

    @Override
    public List<String> downs() {
      return List.of(down);
    }
  }
}
