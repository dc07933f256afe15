package org.sparkmoe.udfs.sql;

/**
 * An argument of a function, as documents name it.
 *
 * @param constant whether {@code moe_…} takes constants only, which are checked when a query is
 *     analyzed
 */
record Argument(String name, String text, boolean constant) {
  static Argument column(String name, String text) {
    return new Argument(name, text, false);
  }

  static Argument constant(String name, String text) {
    return new Argument(name, text, true);
  }
}
