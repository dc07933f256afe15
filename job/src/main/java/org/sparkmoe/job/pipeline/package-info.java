/**
 * One layer over one table of tokens, as datasets: what a run writes and what the Java API returns
 * are made of the same steps.
 */
package org.sparkmoe.job.pipeline;
