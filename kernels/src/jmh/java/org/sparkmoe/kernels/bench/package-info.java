/**
 * Benchmarks of the kernels, and the layers of random weights that they and {@code moe bench}
 * measure. Compiled with the tests, part of no jar.
 */
package org.sparkmoe.kernels.bench;
