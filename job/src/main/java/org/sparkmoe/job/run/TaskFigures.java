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
 * @param kernels what its kernels did
 */
record TaskFigures(long tokens, long written, long shuffleBytes, long millis, KernelWork kernels) {

  static TaskFigures of(SparkListenerTaskEnd event) {
    TaskMetrics metrics = event.taskMetrics();
    if (metrics == null) {
      return new TaskFigures(0, 0, 0, 0, KernelWork.NONE);
    }
    long read = metrics.inputMetrics().recordsRead();
    return new TaskFigures(
        read > 0 ? read : metrics.outputMetrics().recordsWritten(),
        metrics.shuffleWriteMetrics().recordsWritten(),
        metrics.shuffleWriteMetrics().bytesWritten(),
        metrics.executorRunTime(),
        kernels(event));
  }

  private static KernelWork kernels(SparkListenerTaskEnd event) {
    KernelWork sum = KernelWork.NONE;
    for (AccumulableInfo info : CollectionConverters.asJava(event.taskInfo().accumulables())) {
      boolean isOfKernels =
          info.name().isDefined() && info.name().get().startsWith(KernelTimes.NAME);
      if (isOfKernels && info.update().isDefined() && info.update().get() instanceof long[] more) {
        sum =
            sum.plus(
                new KernelWork(
                    KernelTimes.nanos(more),
                    KernelTimes.rows(more),
                    KernelTimes.computedRows(more)));
      }
    }
    return sum;
  }
}
