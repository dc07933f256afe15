package org.sparkmoe.datasets.checkpoint;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.safetensors.Quoted;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;
import org.sparkmoe.kernels.tensor.ScaleType;

/** The tensors of one linear map, N × K, named by what follows the map's name. */
final class LinearTensors {
  static final Set<SafetensorsDType> FLOATS =
      Set.of(SafetensorsDType.F32, SafetensorsDType.BF16, SafetensorsDType.F16);

  private static final Map<String, String> OTHER_NAMES =
      Map.of(".gate_proj", ".w1", ".up_proj", ".w3", ".down_proj", ".w2");

  private static final Map<SafetensorsDType, ScaleType> SCALES =
      Map.of(
          SafetensorsDType.F32, ScaleType.F32,
          SafetensorsDType.BF16, ScaleType.BF16,
          SafetensorsDType.F16, ScaleType.F16,
          SafetensorsDType.F8_E4M3, ScaleType.E4M3,
          SafetensorsDType.F8_E8M0, ScaleType.E8M0,
          SafetensorsDType.U8, ScaleType.E8M0);

  private final ModuleTensors tensors;
  private final String linear;
  private final int rows;
  private final int cols;

  /**
   * @param linear the map's full name
   * @param rows N
   * @param cols K
   */
  LinearTensors(ModuleTensors tensors, String linear, int rows, int cols) {
    this.tensors = tensors;
    this.linear = linear;
    this.rows = rows;
    this.cols = cols;
  }

  int rows() {
    return rows;
  }

  int cols() {
    return cols;
  }

  boolean has(String suffix) {
    return tensors.has(name(suffix));
  }

  /** The type and shape of a tensor that must be there. */
  TensorRef get(String suffix) {
    return tensors.get(name(suffix));
  }

  /** Takes a tensor that must be there, of one of the types and shapes. Its full name. */
  String take(String suffix, Set<SafetensorsDType> types, long[]... shapes) {
    return tensors.take(name(suffix), types, shapes);
  }

  /** As above, if it is there. */
  String takeOrNull(String suffix, Set<SafetensorsDType> types, long[]... shapes) {
    return has(suffix) ? take(suffix, types, shapes) : null;
  }

  /** The kernels' name of a tensor's element type; bytes are powers of two. */
  ScaleType scaleType(String suffix) {
    return scaleType(get(suffix).dtype());
  }

  static ScaleType scaleType(SafetensorsDType dtype) {
    return SCALES.get(dtype);
  }

  /** Which one of two tensors is there. */
  String oneOf(String first, String second) {
    Optional<String> name =
        tensors.oneOf("scales of " + Quoted.of(linear), List.of(name(first), name(second)));
    return name.isPresent() && name.get().equals(name(second)) ? second : first;
  }

  /**
   * What stands beside the tensors of an expert's {@code gate_proj} as {@code w1}, and so on:
   * w4afp8 checkpoints of DeepSeek store static scales there.
   */
  Optional<LinearTensors> otherName() {
    for (Map.Entry<String, String> other : OTHER_NAMES.entrySet()) {
      if (linear.endsWith(other.getKey())) {
        String stem = linear.substring(0, linear.length() - other.getKey().length());
        return Optional.of(new LinearTensors(tensors, stem + other.getValue(), rows, cols));
      }
    }
    return Optional.empty();
  }

  InputException bad(String what) {
    return tensors.bad("linear map %s %s".formatted(Quoted.of(linear), what));
  }

  private String name(String suffix) {
    return linear + "." + suffix;
  }
}
