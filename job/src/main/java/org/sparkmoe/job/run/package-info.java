/** The pipeline: read, route, dispatch, experts, combine, write. */
package org.sparkmoe.job.run;
