/**
 * {@code moe bench}: our layer and our job beside other libraries, each proved right before it is
 * timed. Never part of the application jar.
 */
package org.sparkmoe.job.bench;
