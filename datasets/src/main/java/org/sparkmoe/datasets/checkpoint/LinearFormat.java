package org.sparkmoe.datasets.checkpoint;

import org.sparkmoe.datasets.checkpoint.quant.StoredWeight;

/** How a configuration says the weight and the input of a linear map are quantized. */
interface LinearFormat {

  /**
   * Takes the map's tensors.
   *
   * @throws org.sparkmoe.datasets.InputException if one is missing or has another type or shape
   */
  StoredWeight weight(LinearTensors tensors);

  ActivationRule activation();
}
