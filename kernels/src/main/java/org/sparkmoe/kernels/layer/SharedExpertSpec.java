package org.sparkmoe.kernels.layer;

import java.io.Serializable;

/**
 * An expert that every token passes.
 *
 * @param intermediate its width, all shared experts of the layer together
 * @param gated whether its output is multiplied by {@code σ(gate · x)} (Qwen2-MoE, Qwen3-Next)
 */
public record SharedExpertSpec(int intermediate, boolean gated) implements Serializable {}
