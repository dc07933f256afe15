package org.sparkmoe.datasets.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Random;
import java.util.stream.IntStream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.kernels.tensor.DType;

final class SafetensorsFileTest {
  private static final String GOOD =
      "'a': {'dtype':'F32','shape':[2,1],'data_offsets':[0,8]},"
          + "'empty': {'dtype':'I64','shape':[0,7],'data_offsets':[8,8]},"
          + "'b': {'dtype':'BF16','shape':[],'data_offsets':[8,10]}";

  @TempDir Path folder;

  @Test
  void readsTensors() throws IOException {
    byte[] data = new byte[10];
    ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN).putFloat(1.5f).putFloat(-2);
    data[9] = 0x40;
    String header = "{'__metadata__':{'format':'pt'}," + GOOD + "}   ";
    try (SafetensorsFile file = SafetensorsFile.open(write(header, data))) {
      assertThat(file.tensors().keySet()).containsExactly("a", "empty", "b");
      assertThat(file.header().metadata()).containsEntry("format", "pt");
      assertThat(file.header().sha256()).hasSize(64);
      assertThat(file.tensor("a").hasShape(2, 1)).isTrue();
      assertThat(file.data("a").get(DType.LE_FLOAT, 4)).isEqualTo(-2);
      assertThat(file.data("empty").byteSize()).isZero();
      assertThat(DType.BF16.get(file.data("b"), 0)).isEqualTo(2);
      assertRefused(() -> file.data("c"), "no tensor \"c\" among its 3");
    }
  }

  @Test
  void readsAPartOfATensorThatIsLargerThanABuffer() throws IOException {
    byte[] data = new byte[700_001];
    new Random(3).nextBytes(data);
    String header = "{'a':{'dtype':'U8','shape':[700001],'data_offsets':[0,700001]}}";
    try (SafetensorsFile file = SafetensorsFile.open(write(header, data));
        Arena arena = Arena.ofConfined()) {
      MemorySegment part = arena.allocate(700_000);
      file.read("a", 1, part);
      assertThat(part.mismatch(MemorySegment.ofArray(data).asSlice(1))).isEqualTo(-1);
      assertThatThrownBy(() -> file.read("a", 2, part))
          .isInstanceOf(IndexOutOfBoundsException.class);
      assertThatThrownBy(() -> file.read("a", -1, part))
          .isInstanceOf(IndexOutOfBoundsException.class);
    }
  }

  @Test
  void aFileTruncatedLaterIsAnError() throws IOException {
    Path path =
        write("{'a':{'dtype':'U8','shape':[9000],'data_offsets':[0,9000]}}", new byte[9000]);
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      try (FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE)) {
        channel.truncate(8000);
      }
      assertRefused(() -> file.data("a"), "ends within tensor \"a\"");
    }
  }

  /** Spark interrupts tasks that it kills; the file belongs to all tasks of the executor. */
  @Test
  void anInterruptedReaderLeavesTheFileToTheOthers() throws IOException {
    String header = "{'a':{'dtype':'U8','shape':[9],'data_offsets':[0,9]}}";
    try (SafetensorsFile file = SafetensorsFile.open(write(header, new byte[9]))) {
      Thread.currentThread().interrupt();
      assertThat(file.data("a").byteSize()).isEqualTo(9);
      assertThat(Thread.interrupted()).isTrue();
      assertThat(file.data("a").byteSize()).isEqualTo(9);
    }
  }

  @Test
  void readsAFileWithoutTensors() throws IOException {
    try (SafetensorsFile file = SafetensorsFile.open(write("{}", new byte[0]))) {
      assertThat(file.tensors()).isEmpty();
    }
  }

  @Test
  void knowsEveryDType() {
    for (SafetensorsDType dtype : SafetensorsDType.values()) {
      assertThat(SafetensorsDType.named(dtype.name())).contains(dtype);
    }
  }

  /** Headers with ' for " and 16 bytes of data. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "[1]                                                          | does not start with '{'",
        "{}                                                           | fill 0 bytes of data",
        "{'a'                                                         | not valid JSON",
        "{} {}                                                        | more after its closing"
            + " brace",
        "{} x                                                         | not valid JSON",
        "{'a':1}                                                      | must be an object, found"
            + " \"1\"",
        "{'a':{'dtype':'F32'}}                                        | needs dtype, shape and"
            + " data_offsets",
        "{'a':{'dtype':'F32','shape':[4],'data_offsets':[0]}}         | needs dtype, shape and"
            + " data_offsets",
        "{'a':{'dtype':'F32','shape':[4],'data_offsets':[0,16,1]}}    | more than 2 numbers",
        "{'a':{'dtype':'F32','shape':[4],'data_offsets':[0,16],'x':1}} | unknown key \"x\"",
        "{'a':{'dtype':'F32','dtype':'F32','shape':[4],'data_offsets':[0,16]}} | Duplicate",
        "{'a':{'dtype':'F32','shape':[4],'data_offsets':[0,16]},'a':{'dtype':'F32','shape':[4],'data_offsets':[0,16]}}"
            + " | Duplicate",
        "{'a':{'dtype':'F33','shape':[4],'data_offsets':[0,16]}}      | unknown dtype \"F33\";"
            + " known are [BOOL",
        "{'a':{'dtype':7,'shape':[4],'data_offsets':[0,16]}}          | dtype must be a string",
        "{'a':{'dtype':'F32','shape':[-4],'data_offsets':[0,16]}}     | holds -4, which is outside"
            + " 0",
        "{'a':{'dtype':'F32','shape':[4.5],'data_offsets':[0,16]}}    | must be whole numbers,"
            + " found \"4.5\"",
        "{'a':{'dtype':'F32','shape':[4],'data_offsets':[0,1e1]}}     | must be whole numbers",
        "{'a':{'dtype':'F32','shape':[4],'data_offsets':[-1,15]}}     | holds -1",
        "{'a':{'dtype':'F32','shape':[18446744073709551616],'data_offsets':[0,16]}} | outside 0",
        "{'a':{'dtype':'F32','shape':[9999999999999999999999],'data_offsets':[0,16]}} | not valid"
            + " JSON",
        "{'a':{'dtype':'F32','shape':[4294967296,4294967296],'data_offsets':[0,16]}} | overflows 64"
            + " bits",
        "{'a':{'dtype':'F32','shape':[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,4],'data_offsets':[0,16]}} |"
            + " more than 16 numbers",
        "{'a':{'dtype':'F32','shape':[4],'data_offsets':[16,0]}}      | begins at 16, after its end"
            + " 0",
        "{'a':{'dtype':'F32','shape':[3],'data_offsets':[0,16]}}      | takes 12 bytes, but"
            + " data_offsets hold 16",
        "{'a':{'dtype':'F4','shape':[3],'data_offsets':[0,1]}}        | does not fill whole bytes",
        "{'a':{'dtype':'F32','shape':[5],'data_offsets':[0,20]}}      | truncated",
        "{'a':{'dtype':'F32','shape':[4],'data_offsets':[4,20]}}      | truncated",
        "{'a':{'dtype':'U8','shape':[9],'data_offsets':[0,9]},'b':{'dtype':'U8','shape':[8],'data_offsets':[8,16]}}"
            + " | overlaps another",
        "{'a':{'dtype':'U8','shape':[7],'data_offsets':[0,7]},'b':{'dtype':'U8','shape':[8],'data_offsets':[8,16]}}"
            + " | holes are forbidden",
        "{'a':{'dtype':'U8','shape':[15],'data_offsets':[1,16]}}      | holes are forbidden",
        "{'a':{'dtype':'U8','shape':[15],'data_offsets':[0,15]}}      | fill 15 bytes of data, but"
            + " the file has 16",
        "{'__metadata__':{'a':1}}                                     | object of strings",
        "{'__metadata__':[]}                                          | object of strings",
        "{'a':[[[[[[[[[[[]]]]]]]]]]]}                                 | must be an object",
        "{'a\\n"
            + "b':1}                                                  | tensor \"a\\u000ab\" must"
            + " be",
      })
  void refusesBadHeaders(String header, String message) throws IOException {
    Path file = write(header, new byte[16]);
    assertRefused(() -> SafetensorsFile.open(file), message);
  }

  @Test
  void refusesDeepNestingWithoutOverflow() throws IOException {
    Path file = write("{'__metadata__':" + "{'a':".repeat(100_000), new byte[0]);
    assertRefused(() -> SafetensorsFile.open(file), "must be an object of strings");
  }

  @Test
  void refusesNamesBeyondTheLimit() throws IOException {
    Path file = write("{'" + "n".repeat(3_000) + "':1}", new byte[0]);
    assertRefused(() -> SafetensorsFile.open(file), "not valid JSON");
  }

  @Test
  void refusesBrokenUtf8() throws IOException {
    Path file = write("{'__metadata__':{'a':'xy'}}", new byte[0]);
    byte[] bytes = Files.readAllBytes(file);
    bytes[bytes.length - 4] = (byte) 0xC3;
    Files.write(file, bytes);
    assertRefused(() -> SafetensorsFile.open(file), "not valid UTF-8");
  }

  @ParameterizedTest
  @CsvSource({
    "0, does not start with",
    "100000001, 'claims 100000001 bytes, the limit is 100,000,000'",
    "-1, claims 18446744073709551615 bytes",
    "50, 'claims 50 bytes, but the file has only 20'",
  })
  void refusesHeaderLengths(long length, String message) throws IOException {
    Path file = folder.resolve("f.safetensors");
    byte[] bytes = new byte[20];
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(length);
    Files.write(file, bytes);
    assertRefused(() -> SafetensorsFile.open(file), message);
  }

  @Test
  void refusesWhatIsNoFile() throws IOException {
    Path tiny = Files.write(folder.resolve("tiny"), new byte[7]);
    assertRefused(() -> SafetensorsFile.open(tiny), "has 7 bytes, a header length takes 8");
    assertRefused(() -> SafetensorsFile.open(folder.resolve("absent")), "no such file");
    assertRefused(() -> SafetensorsFile.open(folder), "no such file");
  }

  @Test
  void refusesMoreTensorsThanTheLimit() {
    StringBuilder header = new StringBuilder("{");
    IntStream.range(0, 4)
        .forEach(
            i ->
                header
                    .append(i == 0 ? "" : ",")
                    .append("'%d':{'dtype':'U8','shape':[0],'data_offsets':[0,0]}".formatted(i)));
    byte[] bytes = framed(header.append('}').toString(), new byte[0]);
    assertRefused(
        () -> SafetensorsHeader.read("f", bytes.length, new ByteArrayInputStream(bytes), 3),
        "more than 3 tensors, the limit");
  }

  private Path write(String header, byte[] data) throws IOException {
    return Files.write(folder.resolve("f.safetensors"), framed(header, data));
  }

  private static byte[] framed(String header, byte[] data) {
    byte[] json = header.replace('\'', '"').getBytes(StandardCharsets.UTF_8);
    byte[] file = new byte[8 + json.length + data.length];
    ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).putLong(json.length).put(json).put(data);
    return file;
  }

  /** One line that names the file, the reason and a remedy. */
  private static void assertRefused(ThrowingCallable call, String message) {
    assertThatExceptionOfType(InputException.class)
        .isThrownBy(call)
        .satisfies(e -> assertThat(e.getMessage()).contains(message).contains(": "))
        .satisfies(e -> assertThat(e.getMessage().lines()).hasSize(1))
        .satisfies(e -> assertThat(e.getMessage()).matches(".*; (.+)"));
  }
}
