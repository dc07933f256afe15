package org.sparkmoe.job.bench;

import org.sparkmoe.kernels.bench.WrongResultException;

/** Something that computes a layer, or a part of it. */
interface Contender extends AutoCloseable {

  /** As it stands in tables. */
  String name();

  /** Computes the batch, with all threads; a whole layer leaves its result in {@code batch.out}. */
  void run(Batch batch);

  /**
   * Proves on sampled tokens that {@link #run} computes what it should.
   *
   * @throws WrongResultException where it does not
   */
  void prove(Batch batch);

  @Override
  void close();
}
