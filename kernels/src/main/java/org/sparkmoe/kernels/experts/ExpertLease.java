package org.sparkmoe.kernels.experts;

/**
 * An expert on loan: it stays in memory until the lease is closed, which happens exactly once, as
 * soon as the kernel has returned.
 */
public interface ExpertLease extends AutoCloseable {

  /** A lease of an expert that somebody else keeps in memory; closing it does nothing. */
  static ExpertLease of(PreparedExpert expert) {
    return new ExpertLease() {
      @Override
      public PreparedExpert expert() {
        return expert;
      }

      @Override
      public void close() {}
    };
  }

  /** The expert; not to be used after {@link #close}. */
  PreparedExpert expert();

  @Override
  void close();
}
