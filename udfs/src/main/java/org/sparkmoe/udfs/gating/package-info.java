/** Gating: a router over the batches of a partition. */
package org.sparkmoe.udfs.gating;
