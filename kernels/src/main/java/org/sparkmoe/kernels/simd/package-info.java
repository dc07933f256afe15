/**
 * SIMD on the JVM. Every class here needs the module {@code jdk.incubator.vector}; only code behind
 * {@link org.sparkmoe.kernels.backend.Backend#VECTOR} touches them.
 */
package org.sparkmoe.kernels.simd;
