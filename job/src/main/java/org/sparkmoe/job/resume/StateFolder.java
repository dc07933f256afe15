package org.sparkmoe.job.resume;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Optional;
import java.util.UUID;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.sparkmoe.datasets.InputException;

/** Small JSON files, each of which is there as a whole or not at all. */
public final class StateFolder {
  /** Its name in a staging folder. */
  static final String NAME = ".resume";

  private static final ObjectMapper JSON =
      JsonMapper.builder()
          .enable(SerializationFeature.INDENT_OUTPUT)
          .enable(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
          .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private final FileSystem files;
  private final Path folder;

  private StateFolder(FileSystem files, Path folder) {
    this.files = files;
    this.folder = folder;
  }

  /** The state of the run that is staged in {@code staging}, whether there is any or not. */
  public static StateFolder of(FileSystem files, Path staging) {
    return new StateFolder(files, new Path(staging, NAME));
  }

  Path folder() {
    return folder;
  }

  /** Makes the folder. */
  public void create() throws IOException {
    if (!files.mkdirs(folder)) {
      throw new IOException("cannot create " + folder);
    }
  }

  /** Removes the folder and all that is in it. */
  public void delete() throws IOException {
    files.delete(folder, true);
  }

  /** Whether {@code name} is there. */
  public boolean has(String name) throws IOException {
    return files.exists(new Path(folder, name));
  }

  /**
   * Writes {@code value} as {@code name}, a file that is not there yet.
   *
   * @throws UncheckedIOException where it cannot be written, or the folder was moved away
   */
  public void write(String name, Object value) {
    Path unfinished = new Path(folder, name + "." + UUID.randomUUID());
    try {
      // the folder belongs to another driver when it is gone, and is not made again
      try (FSDataOutputStream out =
          files.createNonRecursive(
              unfinished,
              false,
              1 << 16,
              files.getDefaultReplication(unfinished),
              files.getDefaultBlockSize(unfinished),
              null)) {
        out.write(JSON.writeValueAsBytes(value));
      }
      if (!files.rename(unfinished, new Path(folder, name))) {
        throw new IOException("cannot rename " + unfinished + " to " + name);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Reads {@code name}; empty where it is not there.
   *
   * @throws InputException where it is damaged
   */
  public <T> Optional<T> read(String name, Class<T> type) {
    Path file = new Path(folder, name);
    try (FSDataInputStream in = files.open(file)) {
      return Optional.of(JSON.readValue(in.readAllBytes(), type));
    } catch (FileNotFoundException e) {
      return Optional.empty();
    } catch (JsonProcessingException e) {
      throw damaged(file, e.getOriginalMessage(), e);
    } catch (IOException e) {
      throw damaged(file, e.getMessage(), e);
    }
  }

  private InputException damaged(Path file, String why, IOException cause) {
    String reason = String.valueOf(why).lines().findFirst().orElse("");
    return new InputException(
        "%s of an unfinished run cannot be read: %s; remove %s, or run without --resume"
            .formatted(file, reason, folder.getParent()),
        cause);
  }
}
