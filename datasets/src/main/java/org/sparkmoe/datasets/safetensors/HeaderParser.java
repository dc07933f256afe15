package org.sparkmoe.datasets.safetensors;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.sparkmoe.datasets.InputException;

/**
 * Parses the JSON of one header, token by token, so that nothing is allocated because a number in
 * the file asks for it. Offsets in the result are still relative to the data section.
 */
final class HeaderParser {
  /** DeepSeek-V3 with all its scales, the largest checkpoint known, has fewer than 100,000. */
  static final int MAX_TENSORS = 500_000;

  private static final int MAX_RANK = 16;
  private static final int MAX_NAME = 2_000;
  private static final int MAX_NESTING = 8;
  private static final int MAX_DIGITS = 20;

  private static final JsonFactory JSON =
      JsonFactory.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .disable(StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION)
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxNestingDepth(MAX_NESTING)
                  .maxNumberLength(MAX_DIGITS)
                  .maxNameLength(MAX_NAME)
                  .build())
          .build();

  private final String file;
  private final int maxTensors;
  private final Map<String, TensorInfo> tensors = new LinkedHashMap<>();
  private final Map<String, String> metadata = new LinkedHashMap<>();

  HeaderParser(String file, int maxTensors) {
    this.file = file;
    this.maxTensors = maxTensors;
  }

  Map<String, TensorInfo> tensors() {
    return tensors;
  }

  Map<String, String> metadata() {
    return metadata;
  }

  void parse(byte[] header) {
    if (header.length == 0 || header[0] != '{') {
      throw bad("the header does not start with '{', as the format requires");
    }
    var utf8 =
        StandardCharsets.UTF_8
            .newDecoder()
            .onMalformedInput(CodingErrorAction.REPORT)
            .onUnmappableCharacter(CodingErrorAction.REPORT);
    try (JsonParser parser =
        JSON.createParser(new InputStreamReader(new ByteArrayInputStream(header), utf8))) {
      parser.nextToken();
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String name = parser.currentName();
        parser.nextToken();
        if (name.equals("__metadata__")) {
          readMetadata(parser);
        } else {
          readTensor(name, parser);
        }
      }
      if (parser.nextToken() != null) {
        throw bad("the header has more after its closing brace, only spaces may follow");
      }
    } catch (CharacterCodingException e) {
      throw bad("the header is not valid UTF-8", e);
    } catch (JacksonException e) {
      throw bad("the header is not valid JSON: " + Quoted.of(e.getOriginalMessage()), e);
    } catch (IOException e) {
      throw bad("the header cannot be read: " + Quoted.of(String.valueOf(e.getMessage())), e);
    }
  }

  private void readMetadata(JsonParser parser) throws IOException {
    expect(parser, JsonToken.START_OBJECT, "__metadata__", "an object of strings");
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String key = parser.currentName();
      parser.nextToken();
      expect(parser, JsonToken.VALUE_STRING, "__metadata__", "an object of strings");
      metadata.put(key, parser.getText());
    }
  }

  private void readTensor(String name, JsonParser parser) throws IOException {
    if (tensors.size() == maxTensors) {
      throw bad("the header names more than %,d tensors, the limit".formatted(maxTensors));
    }
    String where = "tensor " + Quoted.of(name);
    expect(parser, JsonToken.START_OBJECT, where, "an object");
    SafetensorsDType dtype = null;
    long[] shape = null;
    long[] offsets = null;
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String key = parser.currentName();
      parser.nextToken();
      switch (key) {
        case "dtype" -> dtype = readDType(where, parser);
        case "shape" -> shape = readLongs(where + " shape", parser, MAX_RANK);
        case "data_offsets" -> offsets = readLongs(where + " data_offsets", parser, 2);
        default -> throw bad(where + " has the unknown key " + Quoted.of(key));
      }
    }
    if (dtype == null || shape == null || offsets == null || offsets.length != 2) {
      throw bad(where + " needs dtype, shape and data_offsets of two numbers");
    }
    tensors.put(name, checked(where, new TensorInfo(name, dtype, shape, offsets[0], offsets[1])));
  }

  private SafetensorsDType readDType(String where, JsonParser parser) throws IOException {
    expect(parser, JsonToken.VALUE_STRING, where + " dtype", "a string");
    String name = parser.getText();
    return SafetensorsDType.named(name)
        .orElseThrow(
            () ->
                bad(
                    where
                        + " has the unknown dtype "
                        + Quoted.of(name)
                        + "; known are "
                        + Arrays.toString(SafetensorsDType.values())));
  }

  private long[] readLongs(String where, JsonParser parser, int atMost) throws IOException {
    expect(parser, JsonToken.START_ARRAY, where, "an array");
    long[] values = new long[atMost];
    int count = 0;
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      expect(parser, JsonToken.VALUE_NUMBER_INT, where, "whole numbers");
      if (count == atMost) {
        throw bad("%s has more than %d numbers, the limit".formatted(where, atMost));
      }
      boolean tooLarge = parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER;
      long value = tooLarge ? -1 : parser.getLongValue();
      if (value < 0) {
        throw bad(
            "%s holds %s, which is outside 0 to %d"
                .formatted(where, parser.getText(), Long.MAX_VALUE));
      }
      values[count++] = value;
    }
    return Arrays.copyOf(values, count);
  }

  private TensorInfo checked(String where, TensorInfo tensor) {
    if (tensor.begin() > tensor.end()) {
      throw bad("%s begins at %d, after its end %d".formatted(where, tensor.begin(), tensor.end()));
    }
    long bits = tensor.dtype().bits();
    try {
      for (long dimension : tensor.shape()) {
        bits = Math.multiplyExact(bits, dimension);
      }
    } catch (ArithmeticException e) {
      throw bad("%s of %s overflows 64 bits".formatted(where, tensor.typeAndShape()), e);
    }
    if (bits % 8 != 0) {
      throw bad("%s of %s does not fill whole bytes".formatted(where, tensor.typeAndShape()));
    }
    if (bits / 8 != tensor.bytes()) {
      throw bad(
          "%s of %s takes %d bytes, but data_offsets hold %d"
              .formatted(where, tensor.typeAndShape(), bits / 8, tensor.bytes()));
    }
    return tensor;
  }

  private void expect(JsonParser parser, JsonToken token, String where, String what)
      throws IOException {
    if (parser.currentToken() != token) {
      String found = parser.currentToken() == null ? "the end" : parser.getText();
      throw bad("%s must be %s, found %s".formatted(where, what, Quoted.of(found)));
    }
  }

  private InputException bad(String what) {
    return bad(what, null);
  }

  private InputException bad(String what, Throwable cause) {
    return new InputException(
        "%s: %s; the file is damaged or not safetensors, fetch it again".formatted(file, what),
        cause);
  }
}
