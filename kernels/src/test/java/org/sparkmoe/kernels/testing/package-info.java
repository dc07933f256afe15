/** Helpers for tests of this module and of those above it: random tensors, tolerances. */
package org.sparkmoe.kernels.testing;
