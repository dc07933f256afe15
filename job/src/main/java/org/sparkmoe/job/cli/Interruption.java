package org.sparkmoe.job.cli;

import java.io.PrintWriter;
import org.sparkmoe.job.run.MoeInferenceJob;

/** Tells how to go on where the process is asked to end while a job runs. */
final class Interruption implements AutoCloseable {
  private final Thread hook;

  private Interruption(Thread hook) {
    this.hook = hook;
  }

  /** Watches {@code job} until it is closed. */
  static Interruption watch(MoeInferenceJob job, PrintWriter err) {
    Thread hook =
        new Thread(
            () ->
                job.unfinished()
                    .ifPresent(
                        folder -> {
                          err.println(
                              "moe: interrupted; what is finished is kept in %s; the same command with --resume goes on from there"
                                  .formatted(folder));
                          err.flush();
                        }));
    Runtime.getRuntime().addShutdownHook(hook);
    return new Interruption(hook);
  }

  @Override
  public void close() {
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException _) {
      // The process is ending, and the hook runs.
    }
  }
}
