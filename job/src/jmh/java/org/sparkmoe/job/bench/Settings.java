package org.sparkmoe.job.bench;

import java.util.List;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.bench.RoutingKind;
import org.sparkmoe.kernels.bench.Shape;
import org.sparkmoe.kernels.tensor.DType;

/**
 * What to measure, all of it checked.
 *
 * @param backends ours, those that run here
 * @param weights how our experts are stored; peers hold the same values in f32
 * @param jobTokens tokens of the Spark job
 * @param jobVectors how they are stored
 * @param sqlRows rows of the tables that SQL functions run over
 * @param threads of everybody
 * @param seconds to spend on each contender of a table
 */
record Settings(
    List<Part> parts,
    List<Shape> shapes,
    List<Integer> tokens,
    List<RoutingKind> routings,
    List<Backend> backends,
    List<Peer> peers,
    DType weights,
    int jobTokens,
    DType jobVectors,
    int sqlRows,
    int threads,
    double seconds) {}
