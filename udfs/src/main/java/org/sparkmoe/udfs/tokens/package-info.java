/** From rows of a partition to checked batches of tokens, and from batches back to rows. */
package org.sparkmoe.udfs.tokens;
