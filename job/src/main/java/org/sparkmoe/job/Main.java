package org.sparkmoe.job;

import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import org.sparkmoe.job.cli.MoeCli;

/**
 * The entry point, for {@code job/bin/moe} and for {@code spark-submit --class
 * org.sparkmoe.job.Main}.
 */
public final class Main {
  private Main() {}

  public static void main(String[] args) {
    int code = MoeCli.execute(Arrays.asList(args), sparkMoeSettings());
    // A driver that ends by itself lets spark-submit clean up; only a failure has a code to hand
    // over.
    if (code != 0) {
      System.exit(code);
    }
  }

  /** spark-submit hands {@code --conf} and properties files over as system properties. */
  private static Map<String, String> sparkMoeSettings() {
    Map<String, String> settings = new TreeMap<>();
    for (String name : System.getProperties().stringPropertyNames()) {
      if (name.startsWith("spark.moe.")) {
        settings.put(name, System.getProperty(name));
      }
    }
    return settings;
  }
}
