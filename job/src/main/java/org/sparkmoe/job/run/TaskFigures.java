package org.sparkmoe.job.run;

import org.apache.spark.executor.TaskMetrics;
import org.apache.spark.scheduler.AccumulableInfo;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.sparkmoe.udfs.executor.KernelTimes;
import scala.jdk.javaapi.CollectionConverters;

/**
 * What Spark tells of a task that ended well.
 *
 * @param tokens rows read from the input, or written to a table where nothing is read
 * @param written rows written for the next step
 * @param shuffleBytes bytes of them, as compressed by Spark
 * @param millis on its executor
 * @param kernelNanos inside the kernels of experts, all threads together
 */
record TaskFigures(long tokens, long written, long shuffleBytes, long millis, long kernelNanos) {

  static TaskFigures of(SparkListenerTaskEnd event) {
    TaskMetrics metrics = event.taskMetrics();
    if (metrics == null) {
      return new TaskFigures(0, 0, 0, 0, 0);
    }
    long read = metrics.inputMetrics().recordsRead();
    return new TaskFigures(
        read > 0 ? read : metrics.outputMetrics().recordsWritten(),
        metrics.shuffleWriteMetrics().recordsWritten(),
        metrics.shuffleWriteMetrics().bytesWritten(),
        metrics.executorRunTime(),
        kernelNanos(event));
  }

  private static long kernelNanos(SparkListenerTaskEnd event) {
    long sum = 0;
    for (AccumulableInfo info : CollectionConverters.asJava(event.taskInfo().accumulables())) {
      boolean isKernelTime =
          info.name().isDefined() && info.name().get().startsWith(KernelTimes.NAME);
      if (isKernelTime && info.update().isDefined() && info.update().get() instanceof long[] ns) {
        for (long each : ns) {
          sum += each;
        }
      }
    }
    return sum;
  }
}
