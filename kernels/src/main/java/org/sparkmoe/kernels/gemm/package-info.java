/**
 * Dense matrix products {@code Y = X Wᵀ + b} with weights in their stored width.
 *
 * <p>Quantized weights stand in {@link org.sparkmoe.kernels.gemm.CodePanels}: codes of 4 or 8 bits,
 * and 32 scales for each group. They become f32 where they are multiplied: for few rows in
 * registers, for more a stretch of k at a time, in a strip that stays in the cache. Both make the
 * same values, {@code code − zero}, and multiply the sum of each group by {@code scale · global},
 * rounded to f32; or each weight, where {@code CodePanels} says so. The number of rows changes no
 * bit. Columns of act-order are sorted by group ({@link org.sparkmoe.kernels.gemm.ColumnOrder}),
 * and so are the values of x that meet them.
 *
 * <p>Each kind of code has inner loops of its own ({@code FusedE4m3}, {@code FusedUint4}, …) though
 * they read alike: a shared loop would reach its unpacking through an interface, and vectors that
 * cross a call which is not inlined are boxed.
 */
package org.sparkmoe.kernels.gemm;
