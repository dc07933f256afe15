/** What runs count while they run, for Spark's metrics sinks. */
package org.sparkmoe.job.metrics;
