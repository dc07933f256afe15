package org.sparkmoe.kernels.router;

import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.Activations;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * Router weights and rule together: vectors to {@code topk_ids} and {@code topk_weights}. A row's
 * result depends on its vector only. Thread-safe.
 */
public interface Gating {

  /**
   * Workspace of {@link #route}.
   *
   * @param tokens of a call, at most
   */
  long workspaceBytes(int tokens, Team team);

  /**
   * Chooses the experts of each token.
   *
   * @param hidden tokens × H
   * @param topkIds receives tokens × k expert ids, best first
   * @param topkWeights receives tokens × k weights, scaling factor included
   * @param ws at least {@link #workspaceBytes} free
   * @param team shares the tokens
   */
  void route(
      int tokens, Activations hidden, int[] topkIds, float[] topkWeights, Workspace ws, Team team);
}
