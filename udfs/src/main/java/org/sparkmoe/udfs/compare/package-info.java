/** How far rows of two tables are apart. */
package org.sparkmoe.udfs.compare;
