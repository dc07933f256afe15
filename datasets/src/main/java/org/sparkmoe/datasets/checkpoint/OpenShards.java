package org.sparkmoe.datasets.checkpoint;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.checkpoint.quant.TensorBytes;
import org.sparkmoe.datasets.safetensors.Quoted;
import org.sparkmoe.datasets.safetensors.SafetensorsFile;
import org.sparkmoe.datasets.safetensors.TensorInfo;

/** The open files of one layer, each proven to be the one the layer was planned with. */
final class OpenShards implements TensorBytes, AutoCloseable {
  private final Map<String, SafetensorsFile> files = new HashMap<>();
  private final Map<String, String> shardOf = new HashMap<>();

  OpenShards(MoeLayer layer, Configuration conf) {
    layer.tensors().forEach(tensor -> shardOf.put(tensor.name(), tensor.shard()));
    try {
      for (ShardRef shard : layer.shards()) {
        files.put(shard.name(), open(layer.checkpoint(), shard, conf));
      }
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  TensorInfo info(String tensor) {
    return files.get(shardOf.get(tensor)).tensor(tensor);
  }

  @Override
  public void read(String tensor, long first, MemorySegment to) {
    files.get(shardOf.get(tensor)).read(tensor, first, to);
  }

  @Override
  public String label(String tensor) {
    SafetensorsFile file = files.get(shardOf.get(tensor));
    return "%s: tensor %s".formatted(Quoted.of(file.path().toString()), Quoted.of(tensor));
  }

  /** A copy of a small tensor. */
  MemorySegment data(String tensor) {
    return files.get(shardOf.get(tensor)).data(tensor);
  }

  @Override
  public void close() {
    files.values().forEach(SafetensorsFile::close);
    files.clear();
  }

  private static SafetensorsFile open(String folder, ShardRef shard, Configuration conf) {
    Path path = new Path(CheckpointFolder.path(folder), shard.name());
    SafetensorsFile file = SafetensorsFile.open(local(path, shard, conf));
    String change = "";
    if (file.size() != shard.size()) {
      change = "has %d bytes, not %d".formatted(file.size(), shard.size());
    } else if (!file.header().sha256().equals(shard.headerSha256())) {
      change =
          "has a header with SHA-256 %s, not %s"
              .formatted(file.header().sha256(), shard.headerSha256());
    }
    if (!change.isEmpty()) {
      file.close();
      throw new InputException(
          "shard %s %s: it is not the file that the job was planned with; use one checkpoint everywhere, leave it unchanged, and run again"
              .formatted(Quoted.of(path.toString()), change));
    }
    return file;
  }

  private static java.nio.file.Path local(Path path, ShardRef shard, Configuration conf) {
    try {
      FileSystem fs = path.getFileSystem(conf);
      long size = fs.getFileStatus(path).getLen();
      if ("file".equals(fs.getUri().getScheme())) {
        return java.nio.file.Path.of(path.toUri().getPath());
      }
      if (size != shard.size()) {
        throw new InputException(
            "shard %s has %d bytes, not %d: it is not the file that the job was planned with; leave the checkpoint unchanged and run again"
                .formatted(Quoted.of(path.toString()), size, shard.size()));
      }
      return ShardCache.of(conf).fetch(fs, path, shard);
    } catch (FileNotFoundException e) {
      throw new InputException(
          "shard %s is not on this machine; put the checkpoint where every executor reaches it, for example on hdfs:"
              .formatted(Quoted.of(path.toString())),
          e);
    } catch (IOException e) {
      throw CheckpointFolder.unreadable(path.toString(), e);
    }
  }
}
