/**
 * Arrow IPC files as a columnar Spark source, {@code spark.read().format("moe-arrow")}.
 *
 * <p>Both IPC layouts are read, the random-access file and the stream, from any Hadoop file system.
 * Only the buffers of the selected columns are fetched, and Spark gets them as they are, in {@link
 * org.apache.spark.sql.vectorized.ColumnarBatch}es. What Spark's own Arrow columns cannot show
 * (fixed-size lists and binaries, half floats) has column classes here.
 *
 * <p>A file is not trusted: every length it states is checked against the file, or against the
 * memory limit when it is the length of decompressed data, before anything of that size is
 * allocated.
 */
package org.sparkmoe.datasets.arrow;
