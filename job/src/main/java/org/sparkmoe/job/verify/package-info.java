/** Compares what a run wrote with what it should have written. */
package org.sparkmoe.job.verify;
