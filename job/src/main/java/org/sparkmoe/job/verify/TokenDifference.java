package org.sparkmoe.job.verify;

import org.sparkmoe.udfs.compare.RowDifference;

/**
 * One token's distance.
 *
 * @param tokenId which
 * @param row how far its vector is off, and where
 */
public record TokenDifference(long tokenId, RowDifference row) {}
