/** Numbers in memory: element types, matrices in their stored width, scratch memory. */
package org.sparkmoe.kernels.tensor;
