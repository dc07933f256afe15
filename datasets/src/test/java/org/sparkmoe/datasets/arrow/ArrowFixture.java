package org.sparkmoe.datasets.arrow;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.arrow.compression.CommonsCompressionFactory;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.compression.CompressionUtil.CodecType;
import org.apache.arrow.vector.compression.NoCompressionCodec;
import org.apache.arrow.vector.ipc.ArrowFileWriter;
import org.apache.arrow.vector.ipc.ArrowStreamWriter;
import org.apache.arrow.vector.ipc.ArrowWriter;
import org.apache.arrow.vector.ipc.message.IpcOption;
import org.apache.arrow.vector.types.FloatingPointPrecision;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.FieldType;
import org.apache.arrow.vector.types.pojo.Schema;

/** Writes Arrow files for tests; public because tests of token tables write them too. */
public final class ArrowFixture {
  public static final ArrowType LONG = new ArrowType.Int(64, true);
  public static final ArrowType F32 = new ArrowType.FloatingPoint(FloatingPointPrecision.SINGLE);
  public static final ArrowType F16 = new ArrowType.FloatingPoint(FloatingPointPrecision.HALF);

  private ArrowFixture() {}

  /** Puts the rows of one batch into its vectors. */
  public interface Filler {
    /** Fills the vectors of batch {@code batch} and returns its number of rows. */
    int fill(VectorSchemaRoot root, int batch);
  }

  public static Field field(String name, ArrowType type, Field... children) {
    return new Field(name, FieldType.nullable(type), List.of(children));
  }

  public static Field tagged(String name, ArrowType type, String dtype) {
    return new Field(
        name, new FieldType(true, type, null, Map.of(HiddenMetadata.DTYPE, dtype)), List.of());
  }

  public static Field list(String name, ArrowType list, ArrowType element) {
    return field(name, list, field("item", element));
  }

  /** The random-access layout, without compression. */
  public static void file(Path path, List<Field> fields, int batches, Filler filler) {
    write(path, false, CodecType.NO_COMPRESSION, fields, batches, filler);
  }

  static void write(
      Path path, boolean stream, CodecType codec, List<Field> fields, int batches, Filler filler) {
    try (BufferAllocator allocator = new RootAllocator();
        VectorSchemaRoot root = VectorSchemaRoot.create(new Schema(fields), allocator);
        FileChannel out =
            FileChannel.open(path, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        ArrowWriter writer = writer(root, out, stream, codec)) {
      writer.start();
      for (int batch = 0; batch < batches; batch++) {
        root.clear();
        root.allocateNew();
        root.setRowCount(filler.fill(root, batch));
        writer.writeBatch();
      }
      writer.end();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static ArrowWriter writer(
      VectorSchemaRoot root, FileChannel out, boolean stream, CodecType codec) {
    var factory =
        codec == CodecType.NO_COMPRESSION
            ? NoCompressionCodec.Factory.INSTANCE
            : CommonsCompressionFactory.INSTANCE;
    return stream
        ? new ArrowStreamWriter(root, null, out, IpcOption.DEFAULT, factory, codec)
        : new ArrowFileWriter(root, null, out, Map.of(), IpcOption.DEFAULT, factory, codec);
  }

  /** Bytes of a row for BINARY columns, recognizable by row. */
  public static byte[] bytes(long row, int length) {
    byte[] bytes = new byte[length];
    for (int i = 0; i < length; i++) {
      bytes[i] = (byte) (row * 31 + i * 7L);
    }
    return bytes;
  }

  /** Floats of a row, some of them special. */
  public static float[] floats(long row, int length) {
    float[] floats = new float[length];
    for (int i = 0; i < length; i++) {
      floats[i] = 0.1f * row + i;
    }
    float[] special = {Float.NaN, -0.0f, Float.NEGATIVE_INFINITY, Float.MIN_VALUE};
    floats[0] = row < special.length ? special[(int) row] : floats[0];
    return floats;
  }

  /** As Spark shows arrays of floats. */
  public static List<Float> boxed(float[] floats) {
    Float[] boxed = new Float[floats.length];
    Arrays.setAll(boxed, i -> floats[i]);
    return List.of(boxed);
  }
}
