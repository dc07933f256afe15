/**
 * Routing: from router logits to {@code topk_ids} and {@code topk_weights}.
 *
 * <p>A {@link org.sparkmoe.kernels.router.RoutingRule} is the value that describes a family's rule,
 * a {@link org.sparkmoe.kernels.router.Router} applies it. All score arithmetic is done in f64 from
 * f32 logits, so a route depends on the logits alone and not on a backend. Ties go to the lower
 * expert id.
 */
package org.sparkmoe.kernels.router;
