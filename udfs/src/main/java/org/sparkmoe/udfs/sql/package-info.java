/**
 * SQL functions: {@code moe_decode(output, 'f32')} in sessions with {@link
 * org.sparkmoe.udfs.MoeExtensions}, and {@code moe.decode(output, 'f32')} from a Spark function
 * catalog named {@code moe}. {@link org.sparkmoe.udfs.sql.MoeFunctions} lists them.
 *
 * <p>They are DataSource V2 functions with magic methods, so Spark's generated code calls them on
 * its own values without boxing. The job uses them too, wherever a conversion fits into a query.
 */
package org.sparkmoe.udfs.sql;
