package org.sparkmoe.job.bench;

import java.lang.reflect.InvocationTargetException;
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
      return library("DjlPeer", weights, threads);
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
      return library("OnnxPeer", weights, threads);
    }

    @Override
    long bytes(Shape shape) {
      return shape.f32Bytes();
    }

    @Override
    Optional<String> refusal(Shape shape) {
      // gate and up of all experts
      long largest = shape.f32Bytes() / 3 * 2;
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

  /**
   * A layer of {@code src/peers}, which only the build of the benchmarks compiles and downloads
   * for.
   */
  private static Contender library(String name, RandomLayer weights, int threads) {
    try {
      return Class.forName(Peer.class.getPackageName() + "." + name)
          .asSubclass(Contender.class)
          .getDeclaredConstructor(RandomLayer.class, int.class)
          .newInstance(weights, threads);
    } catch (InvocationTargetException e) {
      throw new IllegalStateException(name + " cannot be opened", e.getCause());
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(name + " is missing: build with -Pbench", e);
    }
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
