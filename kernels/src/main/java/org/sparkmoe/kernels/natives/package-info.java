/**
 * Native libraries that travel inside jars: where they are kept, and that they are what we shipped.
 */
package org.sparkmoe.kernels.natives;
