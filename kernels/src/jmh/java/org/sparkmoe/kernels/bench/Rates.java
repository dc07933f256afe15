package org.sparkmoe.kernels.bench;

import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/** Work done, which JMH prints per second: the columns {@code gflops} and {@code gbytes}. */
@AuxCounters(AuxCounters.Type.OPERATIONS)
@State(Scope.Thread)
public class Rates {
  /** 10⁹ multiplications and additions. */
  public double gflops;

  /** 10⁹ bytes of weights read. */
  public double gbytes;

  @Setup(Level.Iteration)
  public void reset() {
    gflops = 0;
    gbytes = 0;
  }

  void add(double flops, double bytes) {
    gflops += flops / 1e9;
    gbytes += bytes / 1e9;
  }
}
