/** What the driver decides and every executor follows. */
package org.sparkmoe.udfs.plan;
