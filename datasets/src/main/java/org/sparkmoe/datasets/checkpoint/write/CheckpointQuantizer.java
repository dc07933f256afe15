package org.sparkmoe.datasets.checkpoint.write;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.checkpoint.Checkpoint;
import org.sparkmoe.datasets.checkpoint.TensorRef;

/**
 * Writes a copy of a checkpoint with quantized experts.
 *
 * <p>Quantized are the projections of routed and shared experts of every layer that is one; all
 * other tensors keep their bits, and the other files of the folder are copied. Experts that are
 * fused in the source are written one by one, except for gpt-oss. Weights are read, quantized and
 * written expert by expert; a few more experts than there are threads are in memory, off the heap.
 */
public final class CheckpointQuantizer {
  /** The default size of a shard in bytes. */
  public static final long SHARD_BYTES = 5L << 30;

  private static final int BUFFER = 1 << 20;

  private final Checkpoint checkpoint;
  private final Configuration conf;
  private final FileSystem files;
  private final Path folder;
  private final ModelPlan plan;
  private final List<ShardPlan.Shard> shards;

  private CheckpointQuantizer(
      Checkpoint checkpoint,
      Configuration conf,
      FileSystem files,
      Path folder,
      ModelPlan plan,
      List<ShardPlan.Shard> shards) {
    this.checkpoint = checkpoint;
    this.conf = conf;
    this.files = files;
    this.folder = folder;
    this.plan = plan;
    this.shards = shards;
  }

  /**
   * Plans the new checkpoint; reads headers only.
   *
   * @param shardBytes what a shard may hold, more where a single expert or tensor is larger
   * @throws InputException where the model is quantized already, has no experts, or a width that
   *     the scheme cannot store
   */
  public static CheckpointQuantizer plan(
      Checkpoint checkpoint, Scheme scheme, long shardBytes, Configuration conf) {
    Path folder = new Path(checkpoint.uri());
    try {
      FileSystem files = folder.getFileSystem(conf);
      ModelPlan plan = ModelPlan.of(checkpoint, scheme, new CopiedParts(files, folder), conf);
      return new CheckpointQuantizer(
          checkpoint, conf, files, folder, plan, ShardPlan.of(plan.parts(), shardBytes));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Checks that the checkpoint can be written to {@code output}. Writes nothing.
   *
   * @param overwrite whether a sharded checkpoint there is replaced
   * @throws InputException where the output exists and is not to be replaced or cannot be
   */
  public void requireFree(String output, boolean overwrite) {
    OutputFolder.check(output, checkpoint.uri(), conf, overwrite);
  }

  /** Bytes of the source's tensors. */
  public long sourceBytes() {
    return checkpoint.tensors().stream().mapToLong(TensorRef::bytes).sum();
  }

  /** Bytes of the tensors to be written. */
  public long bytes() {
    return plan.bytes();
  }

  /** Files of weights to be written. */
  public int shards() {
    return shards.size();
  }

  /**
   * Writes the checkpoint. It appears at {@code output} whole, or not at all.
   *
   * @param output a folder on any file system that the configuration resolves
   * @param overwrite whether a sharded checkpoint there is replaced
   * @param threads that quantize
   * @return the new folder, with its scheme
   * @throws InputException where the output exists and is not to be replaced or cannot be, a weight
   *     is not finite, or the source changes meanwhile
   * @throws UncheckedIOException where writing fails
   */
  public String write(String output, boolean overwrite, int threads, QuantizeListener listener) {
    try (OutputFolder out = OutputFolder.open(output, checkpoint.uri(), conf, overwrite)) {
      Progress progress = new Progress(plan.bytes(), listener);
      for (ShardPlan.Shard shard : shards) {
        out.write(shard.name(), stream -> write(shard, threads, progress, stream));
      }
      ObjectNode quantization = plan.config().of(plan.unquantized());
      byte[] config = ModelFiles.config(checkpoint.configJson(), quantization);
      out.write(ModelFiles.CONFIG, stream -> stream.write(config));
      byte[] index = ModelFiles.index(shards);
      out.write(ModelFiles.INDEX, stream -> stream.write(index));
      for (String name : ModelFiles.others(files, folder)) {
        ModelFiles.copy(files, folder, name, out);
      }
      out.commit(overwrite);
      return out.uri();
    } finally {
      plan.sources().forEach(LayerSource::close);
    }
  }

  private static void write(ShardPlan.Shard shard, int threads, Progress progress, OutputStream out)
      throws IOException {
    out.write(ShardHeader.of(shard.entries()));
    byte[] buffer = new byte[BUFFER];
    try (OrderedWork work =
        new OrderedWork(
            threads,
            made -> {
              for (MemorySegment data : made.data()) {
                write(data, buffer, out);
                progress.add(data.byteSize());
              }
              made.errors().forEach(progress::tell);
            })) {
      for (Part part : shard.parts()) {
        part.chunks().forEach(work::add);
      }
      work.finish();
    }
  }

  private static void write(MemorySegment data, byte[] buffer, OutputStream out) {
    try {
      for (long done = 0; done < data.byteSize(); ) {
        int count = (int) Math.min(buffer.length, data.byteSize() - done);
        MemorySegment.copy(data, ValueLayout.JAVA_BYTE, done, buffer, 0, count);
        out.write(buffer, 0, count);
        done += count;
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Counts bytes for the listener. */
  private static final class Progress {
    private final long total;
    private final QuantizeListener listener;
    private long written;

    Progress(long total, QuantizeListener listener) {
      this.total = total;
      this.listener = listener;
    }

    void add(long bytes) {
      written += bytes;
    }

    void tell(TensorError error) {
      listener.written(error, written, total);
    }
  }
}
