package org.sparkmoe.job.report;

import com.fasterxml.jackson.databind.JsonNode;

/**
 * Everything that a page says of one layer.
 *
 * @param manifest of its run
 * @param experts by expert id
 * @param routes counted
 * @param errors rows that could not be scored
 */
record LayerReport(JsonNode manifest, ExpertStats experts, RouteCounts routes, ErrorReasons errors)
    implements LayerFigures {

  /** Reads a run and counts its routes, of about {@code mostTokens} tokens. */
  static LayerReport read(RunFolder run, long mostTokens) {
    ExpertStats experts = ExpertStats.read(run);
    return new LayerReport(
        run.manifest(),
        experts,
        RouteCounts.of(run, experts.experts(), LayerFigures.topK(run.manifest()), mostTokens),
        ErrorReasons.read(run));
  }
}
