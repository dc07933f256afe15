/**
 * Tables of token activations, whatever file they come from: {@link
 * org.sparkmoe.datasets.tokens.TokenSource} opens Parquet, Arrow or a tensor, checks the columns,
 * and gives every reader downstream the same shape, a {@link
 * org.sparkmoe.datasets.tokens.TokenTable}.
 */
package org.sparkmoe.datasets.tokens;
