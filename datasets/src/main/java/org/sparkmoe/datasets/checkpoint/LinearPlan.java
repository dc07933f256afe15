package org.sparkmoe.datasets.checkpoint;

import org.sparkmoe.datasets.checkpoint.quant.StoredWeight;

/**
 * A linear map as planned.
 *
 * @param weight where it is
 * @param activation how its input is quantized
 * @param scaleOrNull the tensor with the static scale of its input, where the rule has one
 */
record LinearPlan(StoredWeight weight, ActivationRule activation, TensorRef scaleOrNull) {}
