/**
 * The job's layer as a function of datasets: {@link org.sparkmoe.job.api.Moe#layer}. Nothing is
 * written, and what Spark can leave until it is asked for rows is left until then.
 */
package org.sparkmoe.job.api;
