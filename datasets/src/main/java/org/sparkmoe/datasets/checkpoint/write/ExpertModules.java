package org.sparkmoe.datasets.checkpoint.write;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.sparkmoe.datasets.checkpoint.MoeLayer;
import org.sparkmoe.datasets.checkpoint.TensorRef;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.layer.SharedExpertSpec;

/**
 * The linear modules that a layer's experts are written as: one for each expert and projection,
 * under the names they have, or where they are fused under those that quantization tools give them.
 */
final class ExpertModules {
  private static final List<String> PROJECTED = List.of("gate_proj", "up_proj", "down_proj");
  private static final List<String> NUMBERED = List.of("w1", "w3", "w2");
  private static final Pattern BIAS = Pattern.compile(".*(_bias|\\.bias)");

  private final MoeLayer layer;
  private final Set<String> sources;
  private final List<String> projections;
  private final Optional<String> shared;

  /** The names of an expert's projections; a module's weight is {@code NAME.weight}. */
  record Names(String gate, String up, String down) {}

  private ExpertModules(
      MoeLayer layer, Set<String> sources, List<String> projections, Optional<String> shared) {
    this.layer = layer;
    this.sources = sources;
    this.projections = projections;
    this.shared = shared;
  }

  static ExpertModules of(MoeLayer layer) {
    Set<String> names =
        layer.tensors().stream()
            .map(TensorRef::name)
            .filter(name -> !BIAS.matcher(name).matches())
            .collect(Collectors.toCollection(LinkedHashSet::new));
    String module = layer.module() + ".";
    boolean numbered =
        names.contains(module + "experts.0.w1.weight")
            || (!names.contains(module + "experts.0.gate_proj.weight")
                && layer.module().endsWith(".block_sparse_moe"));
    Optional<String> shared = layer.spec().shared().map(spec -> sharedPrefix(layer, names));
    Set<String> sources =
        names.stream()
            .filter(
                name ->
                    name.startsWith(module + "experts.")
                        || name.equals(module + "input_linear.weight")
                        || name.equals(module + "output_linear.weight")
                        || shared.filter(name::startsWith).isPresent())
            .collect(Collectors.toCollection(LinkedHashSet::new));
    requireAll(layer, sources);
    return new ExpertModules(layer, sources, numbered ? NUMBERED : PROJECTED, shared);
  }

  /** The tensors that are not copied, because they hold projections. */
  Set<String> sources() {
    return sources;
  }

  Names routed(int expert) {
    String prefix = layer.module() + ".experts." + expert + ".";
    return new Names(
        prefix + projections.get(0), prefix + projections.get(1), prefix + projections.get(2));
  }

  /** Of the shared expert, where there is one. */
  Optional<Names> sharedExpert() {
    return shared.map(
        prefix ->
            new Names(
                prefix + PROJECTED.get(0), prefix + PROJECTED.get(1), prefix + PROJECTED.get(2)));
  }

  private static String sharedPrefix(MoeLayer layer, Set<String> names) {
    String module = layer.module();
    String parent = module.substring(0, module.lastIndexOf('.'));
    return Stream.of(
            module + ".shared_expert.",
            module + ".shared_experts.",
            module + ".shared_mlp.",
            parent + ".shared_mlp.")
        .filter(prefix -> names.stream().anyMatch(name -> name.startsWith(prefix)))
        .findFirst()
        .orElseThrow(() -> new IllegalStateException("no shared expert in " + layer));
  }

  /** A projection overlooked here would be written twice, plainly and quantized. */
  private static void requireAll(MoeLayer layer, Set<String> sources) {
    MoeLayerSpec spec = layer.spec();
    long width =
        (long) spec.experts() * spec.intermediate()
            + spec.shared().map(SharedExpertSpec::intermediate).orElse(0);
    long found =
        layer.tensors().stream()
            .filter(tensor -> sources.contains(tensor.name()))
            .mapToLong(tensor -> tensor.bytes() * Byte.SIZE / tensor.dtype().bits())
            .sum();
    if (found != 3 * width * spec.hidden()) {
      throw new IllegalStateException(
          "%s: experts of %d weights, found %d".formatted(layer, 3 * width * spec.hidden(), found));
    }
  }
}
