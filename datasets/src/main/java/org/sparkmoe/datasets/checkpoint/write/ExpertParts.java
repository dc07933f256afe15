package org.sparkmoe.datasets.checkpoint.write;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.layer.SharedExpertSpec;
import org.sparkmoe.kernels.tensor.QuantFormat;

/** One part for each expert of a layer, of three linear modules. */
final class ExpertParts {
  private final Scheme scheme;
  private final ExpertModules modules;
  private final LayerSource source;
  private final Projections projections;

  ExpertParts(Scheme scheme, ExpertModules modules, LayerSource source) {
    this.scheme = scheme;
    this.modules = modules;
    this.source = source;
    this.projections = new Projections(source.layer().index(), scheme.quantizer());
  }

  /** How often a layer is read. */
  static int reads(MoeLayerSpec spec) {
    return spec.experts() + (spec.shared().isPresent() ? 1 : 0);
  }

  List<Part> parts() {
    MoeLayerSpec spec = source.layer().spec();
    List<Part> parts = new ArrayList<>();
    for (int e = 0; e < spec.experts(); e++) {
      int expert = e;
      parts.add(
          part(
              modules.routed(e),
              spec.intermediate(),
              "",
              memory -> source.read(tensors -> tensors.expert(expert, memory))));
    }
    Optional<SharedExpertSpec> shared = spec.shared();
    if (shared.isPresent()) {
      parts.add(
          part(
              modules.sharedExpert().orElseThrow(),
              shared.get().intermediate(),
              "shared ",
              memory -> source.read(tensors -> tensors.sharedExpert(memory).orElseThrow())));
    }
    return parts;
  }

  /** Reads one expert. */
  private interface Reader {
    ExpertWeights read(SegmentAllocator memory);
  }

  private Part part(ExpertModules.Names names, int width, String kind, Reader reader) {
    int hidden = source.layer().spec().hidden();
    QuantFormat format = scheme.quantizer().format();
    List<Entry> entries = new ArrayList<>();
    entries.addAll(scheme.store().entries(names.gate(), format, width, hidden));
    entries.addAll(scheme.store().entries(names.up(), format, width, hidden));
    entries.addAll(scheme.store().entries(names.down(), format, hidden, width));
    return new Part(entries, List.of(memory -> make(names, kind, reader.read(memory), memory)));
  }

  private Part.Made make(
      ExpertModules.Names names, String kind, ExpertWeights expert, SegmentAllocator memory) {
    List<Projections.Result> results =
        Stream.concat(
                projections.inputs(kind, names, expert, memory).stream(),
                Stream.of(projections.down(kind, names, expert, memory)))
            .toList();
    List<MemorySegment> data =
        results.stream().flatMap(result -> scheme.store().data(result.weight()).stream()).toList();
    return new Part.Made(data, results.stream().map(Projections.Result::error).toList());
  }
}
