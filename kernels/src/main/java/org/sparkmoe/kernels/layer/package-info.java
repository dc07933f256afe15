/** A whole mixture-of-experts layer: what it computes, its tensors, and the layer ready to run. */
package org.sparkmoe.kernels.layer;
