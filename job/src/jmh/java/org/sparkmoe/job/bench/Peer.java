package org.sparkmoe.job.bench;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.Probes;
import org.sparkmoe.kernels.bench.RandomLayer;
import org.sparkmoe.kernels.bench.Shape;

/** What our layer is measured beside. */
enum Peer {
  /** The products alone, by OpenBLAS. */
  OPENBLAS {
    @Override
    Contender open(RandomLayer weights, int threads) {
      return new GemmFloor(weights, new OpenBlasProducts(blas(), weights), threads);
    }

    @Override
    long bytes(Shape shape) {
      return 0;
    }
  },
  /** The products alone, by oneDNN through our own bindings. */
  ONEDNN {
    @Override
    Contender open(RandomLayer weights, int threads) {
      return new GemmFloor(weights, new KernelProducts(Backend.ONEDNN, weights, threads), threads);
    }

    @Override
    long bytes(Shape shape) {
      return shape.f32Bytes();
    }

    @Override
    Optional<String> refusal(Shape shape) {
      return Probes.gather(List.of(Backend.ONEDNN)).refusal(Backend.ONEDNN);
    }
  },
  /** The layer in PyTorch, through DJL. */
  PYTORCH {
    @Override
    Contender open(RandomLayer weights, int threads) {
      return new DjlPeer(weights, threads);
    }

    @Override
    long bytes(Shape shape) {
      return 0;
    }
  },
  /** The layer as ONNX Runtime's operator. */
  ONNXRUNTIME {
    @Override
    Contender open(RandomLayer weights, int threads) {
      return new OnnxPeer(weights, threads);
    }

    @Override
    long bytes(Shape shape) {
      return shape.f32Bytes();
    }

    @Override
    Optional<String> refusal(Shape shape) {
      long largest = OnnxPeer.largestTensorBytes(shape);
      return largest <= Integer.MAX_VALUE
          ? Optional.empty()
          : Optional.of(
              "its fc1 tensor takes %d bytes, a Java buffer holds 2147483647".formatted(largest));
    }
  };

  /** Prepares it; the weights are borrowed. */
  abstract Contender open(RandomLayer weights, int threads);

  /** Bytes that it holds beside the weights all share. */
  abstract long bytes(Shape shape);

  /** Why it cannot run here, by its own nature. */
  Optional<String> refusal(Shape shape) {
    return Optional.empty();
  }

  /** Why it cannot run here now. */
  final Optional<String> refusalNow(Shape shape) {
    return refusal(shape).or(() -> Machine.shortage(bytes(shape)));
  }

  /** The name in options. */
  String option() {
    return name().toLowerCase(Locale.ROOT);
  }

  static OpenBlas blas() {
    return Blas.LIBRARY;
  }

  /** Loaded on first use, once. */
  private static final class Blas {
    static final OpenBlas LIBRARY = OpenBlas.load();
  }

  static String options() {
    return Arrays.stream(values()).map(Peer::option).collect(Collectors.joining(", "));
  }
}
