package org.sparkmoe.kernels.backend;

import java.util.List;
import java.util.stream.Collectors;

/** No requested backend can run here. The message gives the reason for each. */
public final class BackendUnavailableException extends RuntimeException {
  private static final long serialVersionUID = 1;

  BackendUnavailableException(String requested, List<Refusal> refusals) {
    super(
        refusals.stream()
            .map(Refusal::toString)
            .collect(Collectors.joining("; ", "backend " + requested + " cannot run here: ", "")));
  }

  /** {@code backend} was asked for directly and cannot run, for {@code reason}. */
  public BackendUnavailableException(Backend backend, String reason) {
    this(backend.option(), List.of(new Refusal(backend, reason)));
  }
}
