package org.sparkmoe.job.plan;

import org.sparkmoe.datasets.checkpoint.MoeLayer;
import org.sparkmoe.kernels.backend.BackendSelector.Selection;
import org.sparkmoe.kernels.quant.LayerSchemes;

/**
 * Everything that is decided before tokens are computed.
 *
 * @param request what was asked for
 * @param layer the layer
 * @param schemes how activations are quantized
 * @param backend the choice and the refusals
 * @param cluster where it runs
 * @param memory of one executor
 * @param work how much there is
 * @param dispatch how tokens and experts meet
 */
public record JobPlan(
    JobRequest request,
    MoeLayer layer,
    LayerSchemes schemes,
    Selection backend,
    ClusterFacts cluster,
    ExecutorMemory memory,
    Workload work,
    DispatchPlan dispatch) {

  /** The same with another reason for its dispatch. */
  public JobPlan because(String reason) {
    return new JobPlan(
        request,
        layer,
        schemes,
        backend,
        cluster,
        memory,
        work,
        new DispatchPlan(dispatch.chosen(), dispatch.candidates(), reason));
  }
}
