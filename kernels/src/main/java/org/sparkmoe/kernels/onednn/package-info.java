/**
 * oneDNN through the foreign function interface: matrix products with prepacked weights, bias and
 * activation fused. Every call runs on its caller's thread alone.
 */
package org.sparkmoe.kernels.onednn;
