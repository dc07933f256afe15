package org.sparkmoe.datasets.tensor;

import java.io.BufferedInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.Serializable;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.apache.commons.text.similarity.LevenshteinDistance;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.safetensors.Quoted;
import org.sparkmoe.datasets.safetensors.SafetensorsHeader;
import org.sparkmoe.datasets.safetensors.TensorInfo;
import org.sparkmoe.kernels.tensor.DType;

/**
 * A tensor seen as rows: where they lie in the file, and what one of them is.
 *
 * @param path of the file
 * @param begin first byte of row 0, counted from the start of the file
 * @param rows product of the leading dimensions
 * @param width last dimension
 */
record TensorRows(String path, long begin, long rows, int width, DType dtype)
    implements Serializable {
  private static final int SUGGESTIONS = 3;

  /** A row has to fit in one Java array, and Spark doubles its row buffers. */
  private static final long MAX_ROW_BYTES = 1 << 30;

  /** Reads the header of the file before the {@code #} and finds the tensor named after it. */
  static TensorRows open(String pathAndTensor, Configuration conf) {
    int hash = pathAndTensor.lastIndexOf('#');
    String path = hash < 0 ? pathAndTensor : pathAndTensor.substring(0, hash);
    String name = hash < 0 ? "" : pathAndTensor.substring(hash + 1);
    SafetensorsHeader header = header(path, conf);
    TensorInfo tensor = header.tensors().get(name);
    if (tensor == null) {
      throw new InputException(
          "%s has no tensor %s; %s"
              .formatted(
                  path,
                  name.isEmpty() ? "without a name" : Quoted.of(name),
                  remedy(path, name, header.tensors().keySet())));
    }
    return of(path, tensor);
  }

  private static String remedy(String path, String name, Set<String> names) {
    if (names.size() == 1) {
      String only = Quoted.of(names.iterator().next());
      return "its only tensor is %s: write %s#%s"
          .formatted(only, path, only.substring(1, only.length() - 1));
    }
    return "write %s#NAME, nearest of its %d: %s"
        .formatted(path, names.size(), nearest(name, names));
  }

  int rowBytes() {
    return (int) dtype.bytes(width);
  }

  /** As in options and column metadata: {@code f32}, {@code bf16}, {@code f16}. */
  String dtypeName() {
    return dtype.name().toLowerCase(Locale.ROOT);
  }

  private static TensorRows of(String path, TensorInfo tensor) {
    String what =
        "tensor %s of %s is %s".formatted(Quoted.of(tensor.name()), path, tensor.typeAndShape());
    DType dtype =
        tensor
            .dtype()
            .kernelType()
            .orElseThrow(
                () ->
                    new InputException(what + ", token activations are F32, BF16 or F16; cast it"));
    if (tensor.shape().length == 0) {
      throw new InputException(what + ", a scalar; token activations need rows x hidden");
    }
    long width = tensor.shape()[tensor.shape().length - 1];
    if (width == 0 || width > MAX_ROW_BYTES / dtype.bytes()) {
      throw new InputException(
          "%s, rows of %d elements; a row must have 1 to %d bytes"
              .formatted(what, width, MAX_ROW_BYTES));
    }
    long rows = tensor.bytes() / dtype.bytes(width);
    return new TensorRows(path, tensor.begin(), rows, (int) width, dtype);
  }

  private static SafetensorsHeader header(String path, Configuration conf) {
    try {
      Path file = new Path(path);
      FileSystem fs = file.getFileSystem(conf);
      FileStatus status = fs.getFileStatus(file);
      if (!status.isFile()) {
        throw new InputException(path + " is a folder; give FILE.safetensors#TENSOR");
      }
      try (InputStream in = new BufferedInputStream(fs.open(file))) {
        return SafetensorsHeader.read(path, status.getLen(), in);
      }
    } catch (FileNotFoundException e) {
      throw new InputException(
          "input %s does not exist; give FILE.safetensors#TENSOR".formatted(path), e);
    } catch (IOException | IllegalArgumentException e) {
      throw new InputException("cannot read %s: %s".formatted(path, e.getMessage()), e);
    }
  }

  private static String nearest(String name, Set<String> names) {
    LevenshteinDistance distance = LevenshteinDistance.getDefaultInstance();
    List<String> shown =
        names.stream()
            .sorted(
                Comparator.comparingInt((String other) -> distance.apply(name, other))
                    .thenComparing(Comparator.naturalOrder()))
            .limit(SUGGESTIONS)
            .map(Quoted::of)
            .toList();
    return shown.isEmpty() ? "none" : String.join(", ", shown);
  }
}
