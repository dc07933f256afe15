package org.sparkmoe.datasets.arrow;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.apache.arrow.vector.compression.CompressionUtil.CodecType;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sparkmoe.datasets.InputException;

/** Whatever is in a file: it is read, or refused in one line that names it, within its memory. */
final class DamagedArrowTest {
  private static final long MEMORY = 16 << 20;
  private static final int FLIPS = 1500;

  @TempDir Path folder;

  @Test
  void refusesWhatIsNotArrow() throws IOException {
    assertRefused(new byte[0], "is not an Arrow IPC file");
    assertRefused("PAR1PAR1PAR1".getBytes(StandardCharsets.US_ASCII), "is not an Arrow IPC file");
    assertRefused("FEA1....FEA1".getBytes(StandardCharsets.US_ASCII), "Feather version 1");
  }

  @ParameterizedTest
  @CsvSource({"false", "true"})
  void refusesEveryTruncation(boolean stream) throws IOException {
    byte[] whole = tokens(stream, CodecType.NO_COMPRESSION, ArrowType.List.INSTANCE);
    int refused = 0;
    for (int length = 0; length < whole.length; length += 3) {
      byte[] cut = Arrays.copyOf(whole, length);
      refused += readOrRefuse(cut) ? 0 : 1;
    }
    // A stream that ends between two messages is one whose writer was not closed: it is read.
    int whereReadable = stream ? 4 : 0;
    assertThat(refused).isBetween((whole.length + 2) / 3 - whereReadable, (whole.length + 2) / 3);
  }

  @ParameterizedTest
  @CsvSource({"false, NO_COMPRESSION", "true, NO_COMPRESSION", "false, LZ4_FRAME", "false, ZSTD"})
  void survivesFlippedBytes(boolean stream, CodecType codec) throws IOException {
    ArrowType[] lists = {
      ArrowType.List.INSTANCE, ArrowType.LargeList.INSTANCE, new ArrowType.FixedSizeList(5)
    };
    for (int i = 0; i < lists.length; i++) {
      byte[] whole = tokens(stream, codec, lists[i]);
      long seed = 20260101L + i;
      Random random = new Random(seed);
      for (int flip = 0; flip < FLIPS / lists.length; flip++) {
        byte[] damaged = whole.clone();
        for (int n = random.nextInt(3); n >= 0; n--) {
          byte[] values = {0, 1, -1, 0x7F, (byte) 0x80, (byte) random.nextInt()};
          damaged[random.nextInt(damaged.length)] = values[random.nextInt(values.length)];
        }
        readOrRefuse(damaged);
        assertThat(ArrowMemory.allocated()).as("seed %d, flip %d", seed, flip).isZero();
      }
    }
  }

  @Test
  void refusesAFooterLongerThanItsFile() throws IOException {
    byte[] bytes = tokens(false, CodecType.NO_COMPRESSION, ArrowType.List.INSTANCE);
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putInt(bytes.length - 10, 1 << 30);
    assertRefused(bytes, "its footer states 1073741824 bytes");
  }

  @Test
  void refusesABufferThatClaimsToExpandTooMuch() throws IOException {
    byte[] bytes = tokens(false, CodecType.ZSTD, ArrowType.List.INSTANCE);
    ByteBuffer file = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    BatchBlock block = index(bytes).batches().getFirst();
    // The first buffer of the body is the validity of the ids; its first eight bytes are a length.
    file.putLong((int) block.bodyOffset(), Long.MAX_VALUE / 2);
    assertRefused(bytes, "expands from");
  }

  private void assertRefused(byte[] bytes, String message) {
    assertThatThrownBy(() -> read(bytes))
        .isInstanceOf(InputException.class)
        .hasMessageContaining(message)
        .hasMessageContaining("damaged.arrow")
        .hasMessageNotContaining("\n");
  }

  private boolean readOrRefuse(byte[] bytes) throws IOException {
    try {
      read(bytes);
      return true;
    } catch (InputException e) {
      assertThat(e).hasMessageContaining("damaged.arrow").hasMessageNotContaining("\n");
      return false;
    }
  }

  private byte[] tokens(boolean stream, CodecType codec, ArrowType list) throws IOException {
    return ArrowReading.tokens(folder, stream, codec, list);
  }

  private ArrowIndex index(byte[] bytes) throws IOException {
    Path file = folder.resolve("damaged.arrow");
    Files.write(file, bytes);
    return ArrowIndexer.index(file.toUri().toString(), bytes.length, new Configuration(false));
  }

  private void read(byte[] bytes) throws IOException {
    Path file = folder.resolve("damaged.arrow");
    Files.write(file, bytes);
    String uri = file.toUri().toString();
    ArrowReading.readAll(uri, bytes.length, new Configuration(false), MEMORY);
  }
}
