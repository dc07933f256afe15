package org.sparkmoe.datasets.checkpoint;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.safetensors.Quoted;

/** JSON of a checkpoint folder: one object, UTF-8, no key twice, nothing after it. */
final class StrictJson {
  private static final JsonFactory FACTORY =
      JsonFactory.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .disable(StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION)
          // Python's json writes them: time_step_limit of Mamba hybrids holds Infinity.
          .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxNestingDepth(64)
                  .maxNumberLength(400)
                  .maxNameLength(2_000)
                  .build())
          .build();
  private static final JsonMapper MAPPER = new JsonMapper(FACTORY);

  private StrictJson() {}

  /** What {@link #parse} does with the open parser. */
  interface Body<T> {
    T read(JsonParser parser) throws IOException;
  }

  static ObjectNode object(String file, byte[] json) {
    return parse(
        file,
        json,
        parser -> {
          JsonNode root = MAPPER.readTree(parser);
          if (root instanceof ObjectNode object) {
            return object;
          }
          throw bad(file, "is not a JSON object", null);
        });
  }

  static <T> T parse(String file, byte[] json, Body<T> body) {
    var utf8 =
        StandardCharsets.UTF_8
            .newDecoder()
            .onMalformedInput(CodingErrorAction.REPORT)
            .onUnmappableCharacter(CodingErrorAction.REPORT);
    try (JsonParser parser =
        FACTORY.createParser(new InputStreamReader(new ByteArrayInputStream(json), utf8))) {
      T result = body.read(parser);
      if (parser.nextToken() != null) {
        throw bad(file, "has more after its closing brace", null);
      }
      return result;
    } catch (CharacterCodingException e) {
      throw bad(file, "is not valid UTF-8", e);
    } catch (JacksonException e) {
      throw bad(file, "is not valid JSON: " + Quoted.of(e.getOriginalMessage()), e);
    } catch (IOException e) {
      throw bad(file, "cannot be read: " + Quoted.of(String.valueOf(e.getMessage())), e);
    }
  }

  static InputException bad(String file, String what, Throwable cause) {
    return new InputException(
        "%s %s; fetch the file again from where the model comes from".formatted(file, what), cause);
  }
}
