package org.sparkmoe.job.verify;

import java.util.List;

/**
 * How far the outputs of a run are from a reference. Rows that could not be scored have no output:
 * they count as missing.
 *
 * @param output what was compared
 * @param reference with what
 * @param tolerance largest relative L2 distance of a row that passes
 * @param compared tokens on both sides
 * @param equal of those, in every element
 * @param beyond of those, farther apart than the tolerance
 * @param onlyOutput tokens that the reference lacks
 * @param onlyReference tokens that the run has no output of
 * @param worst the farthest tokens, the worst first
 */
public record Verification(
    OutputVectors output,
    OutputVectors reference,
    double tolerance,
    long compared,
    long equal,
    long beyond,
    long onlyOutput,
    long onlyReference,
    List<TokenDifference> worst) {

  /**
   * Whether every token of the reference has an output within the tolerance, and no other token has
   * an output.
   *
   * @param subset whether the run may lack tokens of the reference
   */
  public boolean agrees(boolean subset) {
    return compared > 0 && beyond == 0 && onlyOutput == 0 && (subset || onlyReference == 0);
  }
}
