package org.sparkmoe.job.plan;

import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.kernels.backend.BackendSelector;
import org.sparkmoe.udfs.plan.Reduction;

/**
 * What the user asked for, options resolved.
 *
 * @param model checkpoint folder, a Hadoop path
 * @param layer layer index
 * @param tokens where the tokens are
 * @param output run folder to make
 * @param outputFormat of its tables
 * @param backend requested backend
 * @param dispatch requested mode, empty for auto
 * @param lanes requested lanes, empty for auto
 * @param placement experts to lanes
 * @param redundantExperts copies of experts that a balanced placement may add; as many as lanes
 *     when empty
 * @param reduction who sums a token's slots when lanes share them
 * @param activationQuant whose schemes activations are quantized by
 * @param weightMemory bytes of packed weights that an executor may hold, empty for all it needs
 * @param overwrite replace an existing run
 * @param maxErrors rows that may fail before the exit code is 3
 */
public record JobRequest(
    String model,
    int layer,
    TokenOptions tokens,
    String output,
    OutputFormat outputFormat,
    BackendSelector.Request backend,
    Optional<DispatchMode> dispatch,
    OptionalInt lanes,
    Placement placement,
    OptionalInt redundantExperts,
    Reduction reduction,
    ActivationQuant activationQuant,
    OptionalLong weightMemory,
    boolean overwrite,
    OptionalLong maxErrors) {

  /** Formats of a run's tables. */
  public enum OutputFormat {
    /** Folders of Parquet files. */
    PARQUET,
    /** The same files with the log of a Delta table beside them. */
    DELTA;

    /** The name in options. */
    public String option() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** How activations are quantized. */
  public enum ActivationQuant {
    /** As the checkpoint asks. */
    AUTO,
    /** Not at all: weights only. */
    NONE;

    /** The name in options. */
    public String option() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** Rules that put experts on lanes. */
  public enum Placement {
    /** By the loads that the run's first pass counts; hot experts on several lanes. */
    BALANCED,
    /** Contiguous ranges. */
    LINEAR,
    /** Expert e on lane e mod lanes. */
    ROUND_ROBIN;

    /** The name in options. */
    public String option() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
  }
}
