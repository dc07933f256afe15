package org.sparkmoe.udfs.sql;

/**
 * A query and what it prints. {@code %s} stands for the function's name, which is {@code moe_…} or
 * {@code moe.…}.
 *
 * @param select what follows SELECT
 * @param result as {@code spark-sql} prints it
 */
record Example(String select, String result) {}
