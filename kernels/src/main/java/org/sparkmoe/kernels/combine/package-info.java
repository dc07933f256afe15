/** The one place where outputs of experts are weighted and summed over slots. */
package org.sparkmoe.kernels.combine;
