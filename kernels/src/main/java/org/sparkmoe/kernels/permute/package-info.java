/**
 * Which expert lives where, and which token goes to which expert. Permuting is local; moving rows
 * between lanes is dispatch, which is not here.
 */
package org.sparkmoe.kernels.permute;
