package org.sparkmoe.datasets.checkpoint;

import org.sparkmoe.datasets.checkpoint.quant.StoredWeight;

/** MXFP4 as gpt-oss stores it, all experts of a layer in {@code _blocks} and {@code _scales}. */
record MxBlocksFormat() implements LinearFormat {

  @Override
  public StoredWeight weight(LinearTensors tensors) {
    throw tensors.bad(
        "has a tensor of its own, but quant_method mxfp4 is only known with all experts in"
            + " gate_up_proj_blocks and down_proj_blocks; this variant is not supported");
  }

  @Override
  public ActivationRule activation() {
    return ActivationRule.NONE;
  }
}
