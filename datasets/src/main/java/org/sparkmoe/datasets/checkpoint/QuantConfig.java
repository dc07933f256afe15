package org.sparkmoe.datasets.checkpoint;

import java.util.Optional;

/** What a checkpoint's configuration says of its linear maps. */
interface QuantConfig {

  /** How messages name the method. */
  String label();

  /**
   * How a linear map is quantized.
   *
   * @param linear its full name
   * @return empty where the configuration leaves it as it is
   * @throws org.sparkmoe.datasets.InputException if what it says of the map is not supported
   */
  Optional<LinearFormat> of(String linear);
}
