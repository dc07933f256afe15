/** The command line: {@code moe run|explain|inspect|quantize|demo}. The only place that prints. */
package org.sparkmoe.job.cli;
