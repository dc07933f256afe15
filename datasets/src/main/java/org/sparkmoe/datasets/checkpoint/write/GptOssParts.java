package org.sparkmoe.datasets.checkpoint.write;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.ArrayList;
import java.util.List;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.quant.weight.WeightQuantizer;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;

/**
 * MXFP4 as gpt-oss stores it: the blocks of all experts in one tensor and their scales in another,
 * rows of gate and up alternating.
 *
 * <pre>
 *   gate_up_proj_blocks [E, 2I, H/32, 16]   gate_up_proj_scales [E, 2I, H/32]
 *   down_proj_blocks    [E, H, I/32, 16]    down_proj_scales    [E, H, I/32]
 * </pre>
 *
 * <p>Each chunk makes the blocks of one expert; its scales, a sixteenth as large, wait in memory
 * for the chunk behind the last expert's.
 */
final class GptOssParts {
  private static final int GROUP = WeightQuantizer.MXFP4_GROUP;

  private final LayerSource source;
  private final MoeLayerSpec spec;
  private final Projections projections;

  GptOssParts(Scheme scheme, LayerSource source) {
    this.source = source;
    this.spec = source.layer().spec();
    this.projections = new Projections(source.layer().index(), scheme.quantizer());
  }

  /** How often a layer is read. */
  static int reads(MoeLayerSpec spec) {
    return 2 * spec.experts();
  }

  List<Part> parts() {
    return List.of(
        part("gate_up_proj", 2 * spec.intermediate(), spec.hidden(), this::gateUp),
        part("down_proj", spec.hidden(), spec.intermediate(), this::down));
  }

  /** Makes the projections whose rows alternate in one tensor. */
  private interface Maker {
    List<Projections.Result> make(int expert, ExpertWeights weights, SegmentAllocator memory);
  }

  private List<Projections.Result> gateUp(
      int expert, ExpertWeights weights, SegmentAllocator memory) {
    return projections.inputs("", names(expert), weights, memory);
  }

  private List<Projections.Result> down(
      int expert, ExpertWeights weights, SegmentAllocator memory) {
    return List.of(projections.down("", names(expert), weights, memory));
  }

  private ExpertModules.Names names(int expert) {
    String experts = source.layer().module() + ".experts.";
    String inputs = experts + "gate_up_proj[" + expert + "]";
    return new ExpertModules.Names(inputs, inputs, experts + "down_proj[" + expert + "]");
  }

  private Part part(String name, int rows, int cols, Maker maker) {
    String full = source.layer().module() + ".experts." + name;
    int experts = spec.experts();
    long perExpert = (long) rows * (cols / GROUP);
    Scales scales = new Scales(experts * perExpert);
    List<Part.Chunk> chunks = new ArrayList<>();
    for (int e = 0; e < experts; e++) {
      int expert = e;
      chunks.add(
          memory -> {
            ExpertWeights weights = source.read(tensors -> tensors.expert(expert, memory));
            List<Projections.Result> results = maker.make(expert, weights, memory);
            scales.put(expert * perExpert, alternating(results, QuantizedMatrix::scales, memory));
            return new Part.Made(
                List.of(alternating(results, QuantizedMatrix::codes, memory)),
                results.stream().map(Projections.Result::error).toList());
          });
    }
    // Written when the chunks before it have been, and so complete by then.
    chunks.add(memory -> new Part.Made(List.of(scales.all()), List.of()));
    return new Part(
        List.of(
            new Entry(
                full + "_blocks", SafetensorsDType.U8, experts, rows, cols / GROUP, GROUP / 2),
            new Entry(full + "_scales", SafetensorsDType.U8, experts, rows, cols / GROUP)),
        chunks);
  }

  /** What a matrix holds. */
  private interface Data {
    MemorySegment of(QuantizedMatrix weight);
  }

  /** Row 0 of each matrix, then row 1 of each, and so on. */
  private static MemorySegment alternating(
      List<Projections.Result> results, Data data, SegmentAllocator memory) {
    if (results.size() == 1) {
      return data.of(results.getFirst().weight());
    }
    long bytes = data.of(results.getFirst().weight()).byteSize();
    int rows = results.getFirst().weight().rows();
    long line = bytes / rows;
    MemorySegment all = memory.allocate(results.size() * bytes);
    for (int row = 0; row < rows; row++) {
      for (int i = 0; i < results.size(); i++) {
        MemorySegment.copy(
            data.of(results.get(i).weight()),
            row * line,
            all,
            (row * (long) results.size() + i) * line,
            line);
      }
    }
    return all;
  }

  /** The scales of all experts, made by many threads. */
  private static final class Scales {
    private final long bytes;
    private MemorySegment allOrNull;

    Scales(long bytes) {
      this.bytes = bytes;
    }

    void put(long at, MemorySegment scales) {
      MemorySegment.copy(scales, 0, all(), at, scales.byteSize());
    }

    synchronized MemorySegment all() {
      if (allOrNull == null) {
        allOrNull = Arena.ofAuto().allocate(bytes);
      }
      return allOrNull;
    }
  }
}
