package org.sparkmoe.datasets.checkpoint;

import java.util.Optional;

/**
 * Where a checkpoint says how it is quantized: {@code quantization_config} in config.json, or else
 * ModelOpt's file.
 *
 * @param settings what it says, empty where it says nothing
 * @param fileOrNull bytes of ModelOpt's file, where that was taken
 */
record QuantSettings(Optional<ModelConfig> settings, byte[] fileOrNull) {

  static QuantSettings of(CheckpointFolder folder, ModelConfig config) {
    Optional<ModelConfig> settings = config.quantization();
    if (settings.isPresent()) {
      return new QuantSettings(settings, null);
    }
    return folder
        .modelOpt()
        .map(
            bytes ->
                new QuantSettings(
                    Optional.of(ModelConfig.parse(folder.modelOptLabel(), bytes)), bytes))
        .orElseGet(() -> new QuantSettings(Optional.empty(), null));
  }
}
