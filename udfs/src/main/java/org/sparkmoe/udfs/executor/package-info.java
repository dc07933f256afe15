/** What lives longer than a batch: the weights of an executor and the memory of a task. */
package org.sparkmoe.udfs.executor;
