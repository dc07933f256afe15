/**
 * The form without a shuffle: every executor holds all experts, a token's output is made where the
 * token is read.
 */
package org.sparkmoe.udfs.replicated;
