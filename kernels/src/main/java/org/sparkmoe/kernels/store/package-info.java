/** Packed experts of an executor: each packed once for all tasks, within a budget of bytes. */
package org.sparkmoe.kernels.store;
