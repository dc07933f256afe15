package org.sparkmoe.job.plan;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.OptionalLong;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.network.util.JavaUtils;

/**
 * What the plan needs to know of where it runs. Plain data, so that plans can be tested without a
 * cluster.
 *
 * @param master as Spark names it
 * @param executors JVMs that hold weights
 * @param slots tasks that run at the same time, all executors together
 * @param nativeBudget bytes that one executor may use beside its heap, empty where nothing says
 */
public record ClusterFacts(String master, int executors, int slots, OptionalLong nativeBudget) {

  /** Share of the machine's memory that local runs may fill with weights. */
  private static final double LOCAL_SHARE = 0.5;

  private static final double DEFAULT_OVERHEAD_FACTOR = 0.1;
  private static final long LEAST_OVERHEAD_MIB = 384;

  /** The facts of a running application. */
  public static ClusterFacts of(SparkContext context) {
    SparkConf conf = context.getConf();
    String master = context.master();
    boolean local = master.startsWith("local") && !master.startsWith("local-cluster");
    int slots = Math.max(1, context.defaultParallelism());
    if (local) {
      return new ClusterFacts(master, 1, slots, OptionalLong.of(localBudget()));
    }
    int registered = context.statusTracker().getExecutorInfos().length - 1;
    int executors = Math.max(1, Math.max(registered, conf.getInt("spark.executor.instances", 1)));
    return new ClusterFacts(master, executors, slots, clusterBudget(master, conf));
  }

  private static long localBudget() {
    OperatingSystemMXBean machine =
        (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    return (long) (machine.getTotalMemorySize() * LOCAL_SHARE);
  }

  /** Only resource managers with containers enforce a limit: YARN and Kubernetes. */
  private static OptionalLong clusterBudget(String master, SparkConf conf) {
    if (!master.startsWith("yarn") && !master.startsWith("k8s")) {
      return OptionalLong.empty();
    }
    if (conf.contains("spark.executor.memoryOverhead")) {
      return OptionalLong.of(
          JavaUtils.byteStringAsMb(conf.get("spark.executor.memoryOverhead")) << 20);
    }
    long heap = JavaUtils.byteStringAsMb(conf.get("spark.executor.memory", "1g"));
    double factor = conf.getDouble("spark.executor.memoryOverheadFactor", DEFAULT_OVERHEAD_FACTOR);
    long overhead = Math.max(LEAST_OVERHEAD_MIB, (long) (heap * factor));
    return OptionalLong.of(overhead << 20);
  }
}
