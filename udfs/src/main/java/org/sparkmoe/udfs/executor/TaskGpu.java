package org.sparkmoe.udfs.executor;

import java.util.Map;
import java.util.OptionalInt;
import org.apache.spark.resource.ResourceInformation;
import org.sparkmoe.datasets.InputException;

/** The GPU that Spark gave to a task. */
final class TaskGpu {
  private static final String RESOURCE = "gpu";

  private TaskGpu() {}

  /**
   * The number of the task's GPU among those of its executor's process; empty where Spark gave it
   * none. Of several the first: a task computes on one.
   *
   * @param resources of the task, by name
   * @throws InputException where the address is no number
   */
  static OptionalInt of(Map<String, ResourceInformation> resources) {
    ResourceInformation given = resources.get(RESOURCE);
    if (given == null || given.addresses().length == 0) {
      return OptionalInt.empty();
    }
    String address = given.addresses()[0];
    try {
      return OptionalInt.of(Integer.parseInt(address));
    } catch (NumberFormatException e) {
      throw new InputException(
          "Spark gave a task the GPU '%s'; the discovery script has to print numbers, 0 for the first"
              .formatted(address),
          e);
    }
  }
}
