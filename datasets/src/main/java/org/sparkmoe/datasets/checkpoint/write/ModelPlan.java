package org.sparkmoe.datasets.checkpoint.write;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.hadoop.conf.Configuration;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.checkpoint.Checkpoint;
import org.sparkmoe.datasets.checkpoint.MoeLayer;
import org.sparkmoe.datasets.checkpoint.TensorRef;
import org.sparkmoe.datasets.safetensors.Quoted;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.WeightFormat;

/**
 * A quantized model before any of it is made.
 *
 * @param parts in the order of the source's tensors; a layer's experts come together
 * @param sources the layers that parts read from
 * @param unquantized linear modules that are copied
 * @param config what config.json says of the quantization
 */
record ModelPlan(
    List<Part> parts,
    List<LayerSource> sources,
    List<String> unquantized,
    QuantizationConfig config) {

  /** The one family with biases for each expert, whose quantized layout is its own. */
  private static final String GPT_OSS = "gpt_oss";

  private static void requireQuantizable(Checkpoint checkpoint, Scheme asked) {
    String where = Quoted.of(checkpoint.uri());
    Optional<String> quantization = checkpoint.quantization();
    if (quantization.isPresent()) {
      throw new InputException(
          "%s is quantized already (%s); start from the model's unquantized weights"
              .formatted(where, quantization.get()));
    }
    if (checkpoint.moeLayers().isEmpty()) {
      throw new InputException(
          "%s has no layer with experts; only those are quantized".formatted(where));
    }
    if (checkpoint.family().equals(GPT_OSS) && !asked.name().equals("mxfp4")) {
      throw new InputException(
          "%s has experts with biases, for which %s has no layout; --scheme mxfp4 has one"
              .formatted(where, asked.name()));
    }
  }

  /**
   * Plans a model; reads headers only.
   *
   * @throws InputException where the model is quantized already, has no experts, or a width that
   *     the scheme cannot store
   */
  static ModelPlan of(Checkpoint checkpoint, Scheme asked, CopiedParts copied, Configuration conf) {
    requireQuantizable(checkpoint, asked);
    boolean ownBlocks = checkpoint.family().equals(GPT_OSS);
    List<LayerSource> sources = new ArrayList<>();
    Map<String, LayerSource> sourceOf = new HashMap<>();
    Map<LayerSource, List<Part>> partsOf = new HashMap<>();
    Scheme scheme = null;
    for (int index : checkpoint.moeLayers()) {
      MoeLayer layer = checkpoint.layer(index);
      if (scheme == null) {
        scheme = asked.storedFor(plain(layer));
      }
      requireWholeGroups(checkpoint, layer, scheme);
      ExpertModules modules = ExpertModules.of(layer);
      int reads = ownBlocks ? GptOssParts.reads(layer.spec()) : ExpertParts.reads(layer.spec());
      LayerSource source = new LayerSource(layer, conf, reads);
      sources.add(source);
      modules.sources().forEach(name -> sourceOf.put(name, source));
      partsOf.put(
          source,
          ownBlocks
              ? new GptOssParts(scheme, source).parts()
              : new ExpertParts(scheme, modules, source).parts());
    }
    List<Part> parts = new ArrayList<>();
    Set<String> unquantized = new LinkedHashSet<>();
    Set<LayerSource> placed = new HashSet<>();
    for (TensorRef tensor : checkpoint.tensors()) {
      LayerSource source = sourceOf.get(tensor.name());
      if (source == null) {
        parts.add(copied.part(tensor));
        module(tensor).ifPresent(unquantized::add);
      } else if (placed.add(source)) {
        parts.addAll(partsOf.get(source));
      }
    }
    return new ModelPlan(
        parts,
        sources,
        List.copyOf(unquantized),
        ownBlocks ? QuantizationConfig::mxfp4 : scheme.config());
  }

  /** Bytes of all tensors. */
  long bytes() {
    return parts.stream().mapToLong(Part::bytes).sum();
  }

  private static DType plain(MoeLayer layer) {
    WeightFormat format = layer.formats().in();
    if (format instanceof DType dtype) {
      return dtype;
    }
    throw new InputException(
        "%s layer %d is quantized already (%s); start from the model's unquantized weights"
            .formatted(Quoted.of(layer.checkpoint()), layer.index(), format.label()));
  }

  /** A width of a layer by which a scheme groups its weights. */
  private record Width(String name, int columns) {
    static List<Width> of(MoeLayerSpec spec) {
      List<Width> widths = new ArrayList<>();
      widths.add(new Width("hidden size", spec.hidden()));
      widths.add(new Width("expert width", spec.intermediate()));
      spec.shared()
          .ifPresent(
              shared -> widths.add(new Width("shared expert's width", shared.intermediate())));
      return widths;
    }
  }

  private static void requireWholeGroups(Checkpoint checkpoint, MoeLayer layer, Scheme scheme) {
    int group = scheme.wholeGroup();
    for (Width width : Width.of(layer.spec())) {
      if (width.columns() % group != 0) {
        throw new InputException(
            "%s layer %d: the %s %d is no multiple of %d, the group of %s; %s"
                .formatted(
                    Quoted.of(layer.checkpoint()),
                    layer.index(),
                    width.name(),
                    width.columns(),
                    group,
                    scheme.name(),
                    fitting(checkpoint)));
      }
    }
  }

  /** What to do instead: the schemes that every layer's widths fit. */
  private static String fitting(Checkpoint checkpoint) {
    if (checkpoint.family().equals(GPT_OSS)) {
      return "no other scheme has a layout for its experts";
    }
    List<Integer> columns =
        checkpoint.moeLayers().stream()
            .flatMap(index -> Width.of(checkpoint.layer(index).spec()).stream())
            .map(Width::columns)
            .distinct()
            .toList();
    return Scheme.names().stream()
        .filter(name -> columns.stream().allMatch(n -> n % Scheme.of(name).wholeGroup() == 0))
        .collect(Collectors.joining(", ", "choose one that fits: ", ""));
  }

  /** The linear module that a copied tensor belongs to, as far as the tensor shows it. */
  private static Optional<String> module(TensorRef tensor) {
    String name = tensor.name();
    if (tensor.shape().length >= 2 && name.endsWith(".weight")) {
      return Optional.of(name.substring(0, name.length() - ".weight".length()));
    }
    // Fused experts of layers that are not run.
    return tensor.shape().length >= 3 && name.contains(".experts.")
        ? Optional.of(name.substring(0, name.lastIndexOf('.')))
        : Optional.empty();
  }
}
