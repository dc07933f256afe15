/**
 * Dispatch: tokens to the lanes of their experts, packed into blocks.
 *
 * <p>A token goes once to a lane, however many of its experts live there. Codes and scales stand
 * side by side as columns of the block; a scalar scale is part of the plan and never of a row.
 */
package org.sparkmoe.udfs.dispatch;
