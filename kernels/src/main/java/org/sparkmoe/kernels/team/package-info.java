/** The threads of one task, and how work is dealt out to them. */
package org.sparkmoe.kernels.team;
