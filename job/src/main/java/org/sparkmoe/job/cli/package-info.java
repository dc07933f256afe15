/** The command line: {@code moe run|explain|inspect|demo}. The only place that prints. */
package org.sparkmoe.job.cli;
