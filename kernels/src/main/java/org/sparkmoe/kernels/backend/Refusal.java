package org.sparkmoe.kernels.backend;

/**
 * Why a backend was passed over.
 *
 * @param backend the candidate
 * @param reason what was found, what is needed, and what helps
 */
public record Refusal(Backend backend, String reason) {
  @Override
  public String toString() {
    return backend.option() + ": " + reason;
  }
}
