package org.sparkmoe.datasets.checkpoint;

import java.util.Optional;

/** One format for all linear maps but those listed. */
record UniformConfig(String label, LinearFormat format, ModulePatterns left)
    implements QuantConfig {
  @Override
  public Optional<LinearFormat> of(String linear) {
    return left.contains(linear) ? Optional.empty() : Optional.of(format);
  }
}
