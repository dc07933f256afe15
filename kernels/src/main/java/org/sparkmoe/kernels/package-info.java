/** The mathematics of a mixture-of-experts layer. Depends on the JDK and native libraries only. */
package org.sparkmoe.kernels;
