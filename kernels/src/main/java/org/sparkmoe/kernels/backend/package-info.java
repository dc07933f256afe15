/** Which implementation of the mathematics runs, and why the others do not. */
package org.sparkmoe.kernels.backend;
