package org.sparkmoe.datasets.fuzz;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.arrow.vector.compression.CompressionUtil.CodecType;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.hadoop.conf.Configuration;
import org.sparkmoe.datasets.arrow.ArrowReading;
import org.sparkmoe.datasets.checkpoint.Checkpoint;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.safetensors.SafetensorsHeader;
import org.sparkmoe.datasets.safetensors.TensorInfo;

/** A reader of files that nobody vouches for, with whole files to damage. */
enum FuzzTarget {
  /** The header of a safetensors file, alone. */
  SAFETENSORS {
    @Override
    List<byte[]> load(Path scratch) {
      return List.of(Corpus.small(1), Corpus.small(40), Corpus.TINY_WEIGHTS);
    }

    @Override
    byte[] damaged(byte[] whole, Mutator mutator, List<byte[]> others) {
      return weightsDamaged(whole, mutator, others);
    }

    @Override
    void read(byte[] bytes) throws IOException {
      SafetensorsHeader header =
          SafetensorsHeader.read("file", bytes.length, new ByteArrayInputStream(bytes));
      for (TensorInfo tensor : header.tensors().values()) {
        if (tensor.begin() < 8 || tensor.end() > bytes.length) {
          throw new AssertionError(tensor + " is not within the file");
        }
      }
    }
  },
  /** {@code config.json} of every family, beside the weights of one. */
  CONFIG {
    @Override
    List<byte[]> load(Path scratch) {
      return Fixtures.families().stream()
          .map(family -> Corpus.config(Fixtures.folder(family)))
          .toList();
    }

    @Override
    void read(byte[] bytes) {
      checkpoint(Map.of(Corpus.CONFIG, bytes, Corpus.WEIGHTS, Corpus.TINY_WEIGHTS));
    }

    @Override
    boolean readsWholeFiles() {
      return false;
    }
  },
  /** {@code config.json} beside the weights that belong to it, so that layers are planned. */
  MODEL {
    @Override
    List<byte[]> load(Path scratch) {
      return List.of(Corpus.TINY_CONFIG);
    }

    @Override
    void read(byte[] bytes) {
      checkpoint(Map.of(Corpus.CONFIG, bytes, Corpus.WEIGHTS, Corpus.TINY_WEIGHTS));
    }
  },
  /** {@code config.json} with a quantization. */
  QUANTIZED {
    @Override
    List<byte[]> load(Path scratch) {
      return Fixtures.quantized().stream()
          .map(name -> Corpus.config(Fixtures.quant(name)))
          .toList();
    }

    @Override
    void read(byte[] bytes) {
      checkpoint(Map.of(Corpus.CONFIG, bytes, Corpus.WEIGHTS, Corpus.quantized("gptq_g64")));
    }

    @Override
    boolean readsWholeFiles() {
      return false;
    }
  },
  /** The header of a checkpoint's weights. */
  WEIGHTS {
    @Override
    List<byte[]> load(Path scratch) {
      return List.of(Corpus.TINY_WEIGHTS);
    }

    @Override
    byte[] damaged(byte[] whole, Mutator mutator, List<byte[]> others) {
      return weightsDamaged(whole, mutator, others);
    }

    @Override
    void read(byte[] bytes) {
      checkpoint(Map.of(Corpus.CONFIG, Corpus.TINY_CONFIG, Corpus.WEIGHTS, bytes));
    }
  },
  /** The index of a sharded checkpoint. */
  INDEX {
    @Override
    List<byte[]> load(Path scratch) {
      StringBuilder map = new StringBuilder();
      for (String tensor : Corpus.header(Corpus.TINY_WEIGHTS).tensors().keySet()) {
        map.append(map.isEmpty() ? "" : ",").append("\"%s\":\"a.safetensors\"".formatted(tensor));
      }
      return List.of(
          "{\"metadata\":{\"total_size\":12},\"weight_map\":{%s}}"
              .formatted(map)
              .getBytes(StandardCharsets.UTF_8));
    }

    @Override
    void read(byte[] bytes) {
      checkpoint(
          Map.of(
              Corpus.CONFIG,
              Corpus.TINY_CONFIG,
              Corpus.INDEX,
              bytes,
              "a.safetensors",
              Corpus.TINY_WEIGHTS));
    }
  },
  /** Arrow files and streams, whole and compressed. */
  ARROW {
    @Override
    List<byte[]> load(Path scratch) throws IOException {
      List<byte[]> files = new ArrayList<>();
      for (CodecType codec :
          List.of(CodecType.NO_COMPRESSION, CodecType.LZ4_FRAME, CodecType.ZSTD)) {
        for (boolean stream : new boolean[] {false, true}) {
          files.add(ArrowReading.tokens(scratch, stream, codec, ArrowType.List.INSTANCE));
          files.add(ArrowReading.tokens(scratch, stream, codec, new ArrowType.FixedSizeList(5)));
        }
      }
      return files;
    }

    @Override
    long held() {
      return ArrowReading.held();
    }

    @Override
    byte[] damaged(byte[] whole, Mutator mutator, List<byte[]> others) {
      return mutator.bytes(whole, others);
    }

    @Override
    void read(byte[] bytes) throws IOException {
      FilesInMemory.put(Map.of("tokens.arrow", bytes));
      ArrowReading.readAll(
          FilesInMemory.FOLDER + "/tokens.arrow", bytes.length, CONF, ARROW_MEMORY);
    }
  };

  private static final long ARROW_MEMORY = 16 << 20;
  private static final Configuration CONF = FilesInMemory.conf();

  /** Whether undamaged files are read: some are configurations beside weights of another model. */
  boolean readsWholeFiles() {
    return true;
  }

  /** Whole files. */
  abstract List<byte[]> load(Path scratch) throws IOException;

  /** Reads all of it, or refuses it with an {@code InputException}. */
  abstract void read(byte[] bytes) throws IOException;

  /** Bytes that readers hold outside the heap, once a file was read or refused. */
  long held() {
    return 0;
  }

  /** A changed copy; JSON where a target does not say otherwise. */
  byte[] damaged(byte[] whole, Mutator mutator, List<byte[]> others) {
    return mutator.json(whole, others);
  }

  /** Changes the header, mostly as JSON and with a length that fits it. */
  private static byte[] weightsDamaged(byte[] whole, Mutator mutator, List<byte[]> others) {
    if (mutator.below(4) == 0) {
      return mutator.bytes(whole, others);
    }
    return Corpus.withHeader(whole, mutator.json(Corpus.headerOf(whole), List.of(whole)));
  }

  /** Opens a checkpoint and plans each of its first layers with experts. */
  private static void checkpoint(Map<String, byte[]> files) {
    FilesInMemory.put(files);
    Checkpoint checkpoint = Checkpoint.open(FilesInMemory.FOLDER, CONF);
    checkpoint.moeLayers().stream().limit(2).forEach(layer -> checkpoint.layer(layer).formats());
  }
}
