/**
 * Reads safetensors files: an 8-byte little-endian header length, a JSON header of that length that
 * names every tensor's dtype, shape and byte range, then the data. The format is described in the
 * README of huggingface/safetensors; files are taken to be hostile until the header is checked.
 */
package org.sparkmoe.datasets.safetensors;
