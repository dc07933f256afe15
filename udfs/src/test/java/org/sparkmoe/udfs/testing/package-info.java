/** Fixture layers as plans, and the steps of expert parallelism over small tables of tokens. */
package org.sparkmoe.udfs.testing;
