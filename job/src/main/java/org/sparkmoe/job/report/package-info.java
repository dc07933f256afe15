/**
 * {@code report.html}: what a run did, and how two runs differ, as one page that needs nothing
 * else.
 *
 * <p>Everything is counted from the tables of the run by Spark; what reaches the driver is bounded
 * by the number of experts, not of tokens.
 */
package org.sparkmoe.job.report;
