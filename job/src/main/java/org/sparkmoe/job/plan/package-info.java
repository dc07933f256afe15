/** From a request and facts to the plan of a run, with every number that led to it. */
package org.sparkmoe.job.plan;
