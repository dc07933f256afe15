/** The application: command line, planner, pipeline. */
package org.sparkmoe.job;
