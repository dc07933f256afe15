package org.sparkmoe.kernels.backend;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.sparkmoe.kernels.quant.ActivationScheme.Codes;
import org.sparkmoe.kernels.quant.LayerSchemes;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.WeightFormat;

/** Chooses a backend from facts. Pure: the same request and probes always give the same choice. */
public final class BackendSelector {
  /** Fastest first, for weights that are not quantized. */
  private static final List<Backend> AUTO =
      List.of(Backend.CUDA, Backend.ONEDNN, Backend.VECTOR, Backend.SCALAR);

  /** Registers of fewer bits have not been measured beside oneDNN. */
  private static final int MEASURED_VECTOR_BITS = 256;

  private BackendSelector() {}

  /**
   * What was asked for.
   *
   * @param name as written in options: {@code auto} or a backend
   * @param candidates tried in this order
   */
  public record Request(String name, List<Backend> candidates) {

    /** The fastest backend that runs here. */
    public static Request auto() {
      return new Request("auto", AUTO);
    }

    /** This backend or none. */
    public static Request only(Backend backend) {
      return new Request(backend.option(), List.of(backend));
    }

    /**
     * Reads an option.
     *
     * @throws IllegalArgumentException for an unknown name; the message lists the choices
     */
    public static Request parse(String option) {
      String name = option.toLowerCase(Locale.ROOT);
      if (name.equals("auto")) {
        return auto();
      }
      return Arrays.stream(Backend.values())
          .filter(backend -> backend.option().equals(name))
          .findFirst()
          .map(Request::only)
          .orElseThrow(() -> new IllegalArgumentException(unknown(option)));
    }

    private static String unknown(String option) {
      return "unknown backend '%s'; choose auto, %s"
          .formatted(
              option,
              Arrays.stream(Backend.values())
                  .map(Backend::option)
                  .collect(Collectors.joining(", ")));
    }
  }

  /**
   * What was chosen.
   *
   * @param backend runs
   * @param refusals of the candidates before it, in the order they were tried
   */
  public record Selection(Backend backend, List<Refusal> refusals) {
    @Override
    public String toString() {
      return refusals.isEmpty()
          ? backend.option()
          : refusals.stream()
              .map(Refusal::toString)
              .collect(Collectors.joining("; ", backend.option() + " (", ")"));
    }
  }

  /** As below, with the facts of this JVM and for activations that are not quantized. */
  public static Selection select(Request request, Collection<WeightFormat> formats) {
    return select(request, formats, LayerSchemes.NONE);
  }

  /** As {@link #select(Request, Probes, Collection, LayerSchemes)}, with the facts of this JVM. */
  public static Selection select(
      Request request, Collection<WeightFormat> formats, LayerSchemes schemes) {
    return select(request, Probes.gather(request.candidates()), formats, schemes);
  }

  /** As below, for activations that are not quantized. */
  public static Selection select(Request request, Probes probes, Collection<WeightFormat> formats) {
    return select(request, probes, formats, LayerSchemes.NONE);
  }

  /**
   * The first candidate that {@code probes} do not refuse, and that refuses neither the weights nor
   * the activations. Where weights are quantized, VECTOR comes before ONEDNN: it unpacks them in
   * registers where an expert has few rows, and is no slower where it has many. Not so where oneDNN
   * multiplies int8 by int8.
   *
   * @param formats how weights are stored
   * @param schemes how activations are quantized
   * @throws BackendUnavailableException where all are refused, with every reason
   */
  public static Selection select(
      Request request, Probes probes, Collection<WeightFormat> formats, LayerSchemes schemes) {
    List<Refusal> refusals = new ArrayList<>();
    for (Backend candidate : order(request.candidates(), probes, formats, schemes)) {
      Optional<String> reason =
          Stream.of(
                  probes.refusal(candidate).stream(),
                  formats.stream().flatMap(format -> probes.refusal(candidate, format).stream()),
                  probes.refusal(candidate, schemes, formats).stream())
              .flatMap(reasons -> reasons)
              .findFirst();
      if (reason.isEmpty()) {
        return new Selection(candidate, List.copyOf(refusals));
      }
      refusals.add(new Refusal(candidate, reason.get()));
    }
    throw new BackendUnavailableException(request.name(), refusals);
  }

  private static List<Backend> order(
      List<Backend> candidates,
      Probes probes,
      Collection<WeightFormat> formats,
      LayerSchemes schemes) {
    boolean unpacks = formats.stream().anyMatch(QuantFormat.class::isInstance);
    boolean multipliesInt8 = schemes.input().scheme().codes() == Codes.INT8;
    int oneDnn = candidates.indexOf(Backend.ONEDNN);
    int vector = candidates.indexOf(Backend.VECTOR);
    if (!unpacks
        || multipliesInt8
        || probes.vectorBits() < MEASURED_VECTOR_BITS
        || oneDnn < 0
        || vector < 0) {
      return candidates;
    }
    List<Backend> order = new ArrayList<>(candidates);
    order.remove(Backend.VECTOR);
    order.add(Math.min(oneDnn, vector), Backend.VECTOR);
    return order;
  }
}
