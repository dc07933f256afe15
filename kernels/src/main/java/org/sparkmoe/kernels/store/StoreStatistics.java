package org.sparkmoe.kernels.store;

/**
 * What a store has done and holds.
 *
 * @param packed experts packed, repetitions included
 * @param evicted experts given up to make room
 * @param hits leases of experts that were there
 * @param bytes held now: packed experts, those being packed, and what layers keep beside them
 * @param peakBytes most that were held at a time
 */
public record StoreStatistics(long packed, long evicted, long hits, long bytes, long peakBytes) {}
