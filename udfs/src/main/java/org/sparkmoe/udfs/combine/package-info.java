/** Combine: the partial results of a token, from all lanes, become its output. */
package org.sparkmoe.udfs.combine;
