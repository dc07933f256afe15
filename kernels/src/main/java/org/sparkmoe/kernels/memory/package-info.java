/** Native memory that goes back to the system when it is freed. */
package org.sparkmoe.kernels.memory;
