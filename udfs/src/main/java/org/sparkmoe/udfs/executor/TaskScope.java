package org.sparkmoe.udfs.executor;

import java.lang.foreign.Arena;
import org.apache.spark.TaskContext;
import org.apache.spark.util.TaskCompletionListener;
import org.sparkmoe.kernels.layer.PreparedLayer;
import org.sparkmoe.kernels.memory.PageArena;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.udfs.plan.LayerPlan;

/**
 * What a task holds until it completes, well or not: native memory and a share of its executor's
 * weights. Tied to the task attempt, not to a thread.
 */
public final class TaskScope {
  private final Arena arena = PageArena.ofShared();

  private TaskScope() {}

  /** A scope that closes when the current task completes. */
  public static TaskScope current() {
    TaskScope scope = new TaskScope();
    scope.onCompletion(scope.arena::close);
    return scope;
  }

  /**
   * Threads for the task's kernels: {@code spark.task.cpus} of them, this one included, until the
   * task completes.
   */
  public Team team() {
    Team team = Team.of(TaskContext.get().cpus());
    onCompletion(team::close);
    return team;
  }

  /** Memory of the task. */
  public Arena arena() {
    return arena;
  }

  /** The layer of {@code plan}, loaded and packed once per executor, until the task completes. */
  public PreparedLayer layer(LayerPlan plan) {
    ExecutorLayers.Lease lease =
        ExecutorLayers.acquire(plan, TaskGpu.of(TaskContext.get().resourcesJMap()));
    onCompletion(lease::close);
    return lease.layer();
  }

  /**
   * A second thread of the task, which ends with it. Asked for last: it stops before the memory and
   * the layer that it works with are given back.
   */
  public KernelThread kernelThread() {
    KernelThread thread = new KernelThread(TaskContext.get().taskAttemptId());
    onCompletion(thread::close);
    return thread;
  }

  /** Runs {@code action} when the task completes, the last one given first. */
  public void onCompletion(Runnable action) {
    TaskCompletionListener listener = context -> action.run();
    TaskContext.get().addTaskCompletionListener(listener);
  }
}
