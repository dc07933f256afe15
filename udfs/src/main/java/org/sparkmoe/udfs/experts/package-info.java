/** Expert kernels over the blocks of a lane. */
package org.sparkmoe.udfs.experts;
