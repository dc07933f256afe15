/**
 * Largest magnitudes of activations over all tokens of a run, for scales that are computed from all
 * of them: one scale for the whole table, never one for a partition.
 */
package org.sparkmoe.udfs.peaks;
