/**
 * What an unfinished run leaves for the next driver: what it was asked for, its decisions, and
 * whether its driver is still alive. All of it is files in the run's staging folder.
 */
package org.sparkmoe.job.resume;
