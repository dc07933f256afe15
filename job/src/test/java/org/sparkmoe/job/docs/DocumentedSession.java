package org.sparkmoe.job.docs;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/** The session in which pages tell to ask: of the extension, with the checkpoint of the demo. */
final class DocumentedSession {
  private static final int ROWS = 20;
  private static final int NEVER_CUT = 1000;

  private DocumentedSession() {}

  /** A session beside {@code shared}, as {@code --conf spark.sql.extensions=…} makes one. */
  static SparkSession beside(SparkSession shared) {
    // Spark looks there, by name, whenever it makes a first session.
    shared.sparkContext().conf().set("spark.sql.extensions", "org.sparkmoe.udfs.MoeExtensions");
    SparkSession.clearActiveSession();
    SparkSession.clearDefaultSession();
    try {
      return SparkSession.builder().getOrCreate();
    } finally {
      shared.sparkContext().conf().remove("spark.sql.extensions");
      SparkSession.setDefaultSession(shared);
      SparkSession.setActiveSession(shared);
    }
  }

  /** Puts the checkpoint that {@code moe demo} unpacks into {@code folder}. */
  static void unpack(Path folder) throws IOException {
    Files.createDirectories(folder);
    for (String file : List.of("config.json", "model.safetensors", "reference.safetensors")) {
      try (InputStream in = DocumentedSession.class.getResourceAsStream("/demo/" + file)) {
        Files.copy(in, folder.resolve(file));
      }
    }
  }

  /** What a shell shows of {@code rows}. */
  static String shown(Dataset<Row> rows) {
    return ((org.apache.spark.sql.classic.Dataset<Row>) rows)
        .showString(ROWS, NEVER_CUT, false)
        .stripTrailing()
        .concat("\n");
  }
}
