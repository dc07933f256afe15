/**
 * A layer as a stage of Spark ML pipelines. Needs Spark's own {@code spark-mllib}, which every
 * Spark installation has and {@code job/bin/moe} does not bring along; nothing else of the job
 * looks here.
 */
package org.sparkmoe.job.ml;
