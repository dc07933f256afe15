/** Delta Lake tables, through the package of Delta Lake for Spark, which the user brings along. */
package org.sparkmoe.datasets.delta;
