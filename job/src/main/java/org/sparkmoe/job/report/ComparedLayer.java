package org.sparkmoe.job.report;

import com.fasterxml.jackson.databind.JsonNode;

/**
 * A layer's run as one side of a comparison.
 *
 * @param run its folder
 * @param experts by expert id
 */
record ComparedLayer(RunFolder run, ExpertStats experts) implements LayerFigures {

  static ComparedLayer read(RunFolder run) {
    return new ComparedLayer(run, ExpertStats.read(run));
  }

  @Override
  public JsonNode manifest() {
    return run.manifest();
  }

  /** Values of an output; 0 where the manifest does not tell. */
  int hidden() {
    return manifest().at("/model/shape/hidden").asInt();
  }
}
