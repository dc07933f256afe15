/** Questions to the tables of runs, in SQL. */
package org.sparkmoe.job.sql;
