/** What Spark calls: functions over partitions, and functions in SQL. */
package org.sparkmoe.udfs;
