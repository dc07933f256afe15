package org.sparkmoe.job.run;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.sparkmoe.datasets.InputException;

/**
 * The folder of a run over several layers: a run folder {@code layer=N} for each of them, which
 * appears when that layer is done, and a manifest over all, which appears last. So a run that fails
 * leaves the layers that it finished, and no manifest.
 */
public final class LayersDirectory {
  private final String output;
  private final FileSystem files;
  private final Path manifest;

  private LayersDirectory(String output, FileSystem files) {
    this.output = output;
    this.files = files;
    this.manifest = new Path(output, RunDirectory.MANIFEST);
  }

  /**
   * Opens the folder. Writes nothing.
   *
   * @throws InputException where {@code output} is a file, or the folder of a run over one layer
   */
  public static LayersDirectory open(String output, Configuration hadoop) {
    try {
      Path target = new Path(output);
      FileSystem files = target.getFileSystem(hadoop);
      if (files.exists(target) && !files.getFileStatus(target).isDirectory()) {
        throw new InputException("output %s is a file; name a folder".formatted(output));
      }
      if (files.exists(new Path(target, "outputs"))) {
        throw new InputException(
            "output %s is a run over one layer; name another folder for several".formatted(output));
      }
      return new LayersDirectory(output, files);
    } catch (IOException | IllegalArgumentException e) {
      throw new InputException("output %s cannot be used: %s".formatted(output, e.getMessage()), e);
    }
  }

  /** The run folder of a layer below {@code output}. */
  public static String ofLayer(String output, int layer) {
    return new Path(output, "layer=" + layer).toString();
  }

  /**
   * A layer that is done.
   *
   * @param layer its index
   * @param output its run folder
   * @param rows that were read
   * @param errors of them that could not be scored
   * @param seconds that it took
   */
  public record Layer(int layer, String output, long rows, long errors, double seconds) {
    private Map<String, Object> json() {
      Map<String, Object> json = new LinkedHashMap<>();
      json.put("layer", layer);
      json.put("path", new Path(output).getName());
      json.put("rows", rows);
      json.put("tokens", rows - errors);
      json.put("errors", errors);
      json.put("seconds", seconds);
      return json;
    }
  }

  /** Whether there is a manifest that names all of {@code layers}. */
  public boolean names(List<Integer> layers) {
    try (FSDataInputStream in = files.open(manifest)) {
      Set<Integer> named = new HashSet<>();
      new ObjectMapper()
          .readTree(in.readAllBytes())
          .path("layers")
          .forEach(layer -> named.add(layer.path("layer").asInt(-1)));
      return named.containsAll(layers);
    } catch (FileNotFoundException | JsonProcessingException e) {
      return false;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Takes away the manifest of an earlier run over the same folder: it is not true any more. */
  public void begin() {
    try {
      files.delete(manifest, false);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Writes the manifest over all layers. */
  public void commit(List<Layer> layers) {
    Path written = new Path(output, "." + RunDirectory.MANIFEST);
    try {
      try (FSDataOutputStream out = files.create(written, true)) {
        out.write(text(layers).getBytes(StandardCharsets.UTF_8));
      }
      if (!files.rename(written, manifest)) {
        throw new IOException("cannot rename " + written + " to " + manifest);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String text(List<Layer> layers) throws JsonProcessingException {
    Map<String, Object> manifest = new LinkedHashMap<>();
    manifest.put("written", Instant.now().toString());
    manifest.put("layers", layers.stream().map(Layer::json).toList());
    return new ObjectMapper()
        .enable(SerializationFeature.INDENT_OUTPUT)
        .writeValueAsString(manifest);
  }
}
