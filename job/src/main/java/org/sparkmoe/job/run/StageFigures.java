package org.sparkmoe.job.run;

/**
 * What a step took.
 *
 * @param stage the step
 * @param seconds wall time in which Spark worked on it
 * @param tasks tasks that succeeded
 * @param shuffleBytes bytes written for the next step, as compressed by Spark
 */
public record StageFigures(Stage stage, double seconds, long tasks, long shuffleBytes) {}
