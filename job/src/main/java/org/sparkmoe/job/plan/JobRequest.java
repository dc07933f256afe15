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
 * @param reduction in which order a token's slots are summed when lanes share them
 * @param activationQuant whose schemes activations are quantized by
 * @param weightMemory bytes of packed weights that an executor may hold, empty for all it needs
 * @param overwrite replace an existing run
 * @param maxErrors rows that may fail before the exit code is 3
 * @param units how the run is cut, and which earlier ones it goes on with
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
    OptionalLong maxErrors,
    Units units) {

  /** A request with the default units, that starts afresh. */
  public JobRequest(
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
    this(
        model,
        layer,
        tokens,
        output,
        outputFormat,
        backend,
        dispatch,
        lanes,
        placement,
        redundantExperts,
        reduction,
        activationQuant,
        weightMemory,
        overwrite,
        maxErrors,
        Units.DEFAULT);
  }

  /** The same with other units. */
  public JobRequest withUnits(Units value) {
    return new JobRequest(
        model,
        layer,
        tokens,
        output,
        outputFormat,
        backend,
        dispatch,
        lanes,
        placement,
        redundantExperts,
        reduction,
        activationQuant,
        weightMemory,
        overwrite,
        maxErrors,
        value);
  }

  /** The same, replacing a run that is there or not. */
  public JobRequest withOverwrite(boolean value) {
    return new JobRequest(
        model,
        layer,
        tokens,
        output,
        outputFormat,
        backend,
        dispatch,
        lanes,
        placement,
        redundantExperts,
        reduction,
        activationQuant,
        weightMemory,
        value,
        maxErrors,
        units);
  }

  /** The same with nothing left to choose. */
  public JobRequest with(
      BackendSelector.Request chosenBackend, DispatchMode chosenMode, OptionalInt chosenLanes) {
    return new JobRequest(
        model,
        layer,
        tokens,
        output,
        outputFormat,
        chosenBackend,
        Optional.of(chosenMode),
        chosenLanes,
        placement,
        redundantExperts,
        reduction,
        activationQuant,
        weightMemory,
        overwrite,
        maxErrors,
        units);
  }

  /**
   * A run computes and keeps one unit after the other.
   *
   * @param tokens of a unit, about; empty for the default
   * @param resume whether an unfinished run of the same request is gone on with
   * @param runId what a scheduler calls the run: one that is finished under this name is not
   *     repeated
   */
  public record Units(OptionalLong tokens, boolean resume, Optional<String> runId) {
    /** Units of the default size, and a fresh start. */
    public static final Units DEFAULT = new Units(OptionalLong.empty(), false);

    /** Units of a run without a name. */
    public Units(OptionalLong tokens, boolean resume) {
      this(tokens, resume, Optional.empty());
    }
  }

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
    /**
     * By the loads that the run's first pass counts: ranges where those can be nearly even, else
     * dealt out, with hot experts on several lanes.
     */
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
