package org.sparkmoe.kernels.cuda;

import java.util.List;

/** A GPU over a driver that only keeps books, for the tests of what uses one. */
public final class FakeGpu implements AutoCloseable {
  private final FakeDriver driver = new FakeDriver();
  private final Gpu gpu = Gpu.open(driver.driver(), 0);

  /** The GPU. */
  public Gpu gpu() {
    return gpu;
  }

  /** Rows of each expert that every permutation counts from now on. */
  public void count(int... rowsOfExperts) {
    driver.totals = rowsOfExperts.clone();
  }

  /** Products that were started so far: two for each group of experts. */
  public long products() {
    List<String> names = List.of("inner_gated_bf16", "outer_bf16");
    // Those of modules loaded later replace the ones before.
    return names.stream().mapToLong(this::launches).sum();
  }

  private long launches(String kernel) {
    String handle =
        driver.calls.stream()
            .filter(call -> call.startsWith("function " + kernel + " = "))
            .map(call -> call.replaceAll(".* = ", ""))
            .reduce((first, second) -> second)
            .orElseThrow();
    return driver.calls.stream().filter(call -> call.startsWith("launch [" + handle + ",")).count();
  }

  @Override
  public void close() {
    gpu.close();
    driver.close();
  }
}
