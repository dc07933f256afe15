/**
 * SQL functions, in a Spark function catalog named {@code moe}: {@code SELECT moe.decode(output,
 * 'f32') FROM outputs}.
 *
 * <p>They are DataSource V2 functions with magic methods, so Spark's generated code calls them on
 * its own values without boxing. The job uses them too, wherever a conversion fits into a query.
 */
package org.sparkmoe.udfs.sql;
