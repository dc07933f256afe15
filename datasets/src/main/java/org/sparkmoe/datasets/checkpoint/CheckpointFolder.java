package org.sparkmoe.datasets.checkpoint;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.safetensors.Quoted;
import org.sparkmoe.datasets.safetensors.SafetensorsHeader;

/** The files of one checkpoint, wherever Hadoop reaches them. Reads headers, never weights. */
final class CheckpointFolder {
  private static final String CONFIG = "config.json";
  private static final String MODEL_OPT = "hf_quant_config.json";
  private static final String INDEX = "model.safetensors.index.json";
  private static final String SINGLE = "model.safetensors";
  private static final int MAX_CONFIG_BYTES = 16 << 20;
  private static final int MAX_INDEX_BYTES = 256 << 20;

  private final FileSystem fs;
  private final Path folder;

  private CheckpointFolder(FileSystem fs, Path folder) {
    this.fs = fs;
    this.folder = folder;
  }

  static CheckpointFolder open(String dir, Configuration conf) {
    Path path = path(dir);
    try {
      FileSystem fs = path.getFileSystem(conf);
      FileStatus status = fs.getFileStatus(path);
      if (!status.isDirectory()) {
        throw new InputException(
            Quoted.of(dir) + " is a file; give the checkpoint's folder, the one with config.json");
      }
      if (fs.listStatus(path).length == 0) {
        throw new InputException(
            Quoted.of(dir) + " is an empty folder; download the whole checkpoint into it");
      }
      return new CheckpointFolder(fs, fs.makeQualified(path));
    } catch (FileNotFoundException e) {
      throw new InputException(
          "no folder %s; give a downloaded checkpoint (a folder with config.json), not a model's id"
              .formatted(Quoted.of(dir)),
          e);
    } catch (IOException e) {
      throw unreadable(dir, e);
    }
  }

  /** The folder with its scheme, for example {@code file:/models/mixtral}. */
  String uri() {
    return folder.toString();
  }

  byte[] config() {
    if (!exists(CONFIG)) {
      throw new InputException(
          "%s has no config.json; download the whole checkpoint, not only its weights"
              .formatted(Quoted.of(uri())));
    }
    return read(CONFIG, MAX_CONFIG_BYTES);
  }

  /** ModelOpt's own configuration, if there is one. */
  Optional<byte[]> modelOpt() {
    return exists(MODEL_OPT) ? Optional.of(read(MODEL_OPT, MAX_CONFIG_BYTES)) : Optional.empty();
  }

  /** How messages name ModelOpt's configuration. */
  String modelOptLabel() {
    return label(MODEL_OPT);
  }

  /** Opens a file for reading at any position. */
  FSDataInputStream open(String name) throws IOException {
    return fs.open(new Path(folder, name));
  }

  /** How messages name {@code name} in this folder. */
  String label(String name) {
    return Quoted.of(uri() + "/" + name);
  }

  /** Tensor names to shard names, from the index or else from the single file. */
  Map<String, String> tensors() {
    if (exists(INDEX)) {
      return ShardIndex.parse(label(INDEX), read(INDEX, MAX_INDEX_BYTES));
    }
    if (!exists(SINGLE)) {
      throw noWeights();
    }
    Map<String, String> tensors = new LinkedHashMap<>();
    shard(SINGLE).header().tensors().keySet().forEach(name -> tensors.put(name, SINGLE));
    return tensors;
  }

  /** A shard's size and checked header. */
  Shard shard(String name) {
    Path path = new Path(folder, name);
    try {
      long size = fs.getFileStatus(path).getLen();
      try (FSDataInputStream in = fs.open(path)) {
        return new Shard(name, size, SafetensorsHeader.read(label(name), size, in));
      }
    } catch (FileNotFoundException e) {
      throw new InputException(
          "shard %s is missing; download the whole checkpoint".formatted(label(name)), e);
    } catch (IOException e) {
      throw unreadable(uri() + "/" + name, e);
    }
  }

  /** One file of weights. */
  record Shard(String name, long size, SafetensorsHeader header) {}

  static Path path(String dir) {
    try {
      return new Path(dir);
    } catch (IllegalArgumentException e) {
      throw new InputException(
          "%s is not a path (%s); give a folder as file:, hdfs:, s3a: or plain path"
              .formatted(Quoted.of(dir), Quoted.of(String.valueOf(e.getMessage()))),
          e);
    }
  }

  static InputException unreadable(String path, IOException e) {
    return new InputException(
        "%s cannot be read (%s); check the path, its permissions and the file system's settings"
            .formatted(Quoted.of(path), Quoted.of(String.valueOf(e.getMessage()))),
        e);
  }

  private InputException noWeights() {
    List<String> names = names();
    boolean pickled =
        names.stream().anyMatch(name -> name.endsWith(".bin") || name.endsWith(".pth"));
    if (pickled) {
      return new InputException(
          "%s has only PyTorch .bin weights; convert them with transformers' save_pretrained(..., safe_serialization=True)"
              .formatted(Quoted.of(uri())));
    }
    return new InputException(
        "%s has neither %s nor %s; download the model's safetensors weights"
            .formatted(Quoted.of(uri()), INDEX, SINGLE));
  }

  private List<String> names() {
    try {
      return Arrays.stream(fs.listStatus(folder)).map(file -> file.getPath().getName()).toList();
    } catch (IOException e) {
      throw unreadable(uri(), e);
    }
  }

  private boolean exists(String name) {
    try {
      return fs.exists(new Path(folder, name));
    } catch (IOException e) {
      throw unreadable(uri() + "/" + name, e);
    }
  }

  private byte[] read(String name, int limit) {
    try (FSDataInputStream in = fs.open(new Path(folder, name))) {
      byte[] bytes = in.readNBytes(limit + 1);
      if (bytes.length > limit) {
        throw new InputException(
            "%s is larger than %,d bytes, the limit; fetch the file again"
                .formatted(label(name), limit));
      }
      return bytes;
    } catch (IOException e) {
      throw unreadable(uri() + "/" + name, e);
    }
  }
}
