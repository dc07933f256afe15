package org.sparkmoe.kernels.permute;

/**
 * The local assignments of {@link TokenRoutes}, grouped by local expert: a stable counting sort.
 * Within an expert, rows are in the order of the tokens. Remote assignments are dropped.
 */
public final class TokenPermutation {
  /** What {@link #row} gives for a remote assignment. */
  public static final int DROPPED = -1;

  private final TokenRoutes routes;
  private final ExpertMap map;
  private final int[] offsets;
  private final int[] assignmentOf;
  private final int[] tokenOf;
  private final int[] rowOf;

  private TokenPermutation(
      TokenRoutes routes,
      ExpertMap map,
      int[] offsets,
      int[] assignmentOf,
      int[] tokenOf,
      int[] rowOf) {
    this.routes = routes;
    this.map = map;
    this.offsets = offsets;
    this.assignmentOf = assignmentOf;
    this.tokenOf = tokenOf;
    this.rowOf = rowOf;
  }

  /** Groups the assignments of {@code routes} that are local in {@code map}. */
  public static TokenPermutation of(TokenRoutes routes, ExpertMap map) {
    int[] offsets = offsets(routes, map);
    int rows = offsets[map.localExperts()];
    int[] next = offsets.clone();
    int[] assignmentOf = new int[rows];
    int[] tokenOf = new int[rows];
    int[] rowOf = new int[routes.assignments()];
    for (int token = 0; token < routes.tokens(); token++) {
      for (int a = routes.offsets()[token]; a < routes.offsets()[token + 1]; a++) {
        int local = map.local(routes.expertIds()[a]);
        if (local == ExpertMap.REMOTE) {
          rowOf[a] = DROPPED;
        } else {
          int row = next[local]++;
          rowOf[a] = row;
          assignmentOf[row] = a;
          tokenOf[row] = token;
        }
      }
    }
    return new TokenPermutation(routes, map, offsets, assignmentOf, tokenOf, rowOf);
  }

  private static int[] offsets(TokenRoutes routes, ExpertMap map) {
    int[] offsets = new int[map.localExperts() + 1];
    for (int id : routes.expertIds()) {
      int local = map.local(id);
      if (local != ExpertMap.REMOTE) {
        offsets[local + 1]++;
      }
    }
    for (int local = 0; local < map.localExperts(); local++) {
      offsets[local + 1] += offsets[local];
    }
    return offsets;
  }

  /** What was permuted. */
  public TokenRoutes routes() {
    return routes;
  }

  /** Local assignments, all experts together. */
  public int rows() {
    return assignmentOf.length;
  }

  /** First row of local expert {@code local}; {@code offset(localExperts)} is {@link #rows()}. */
  public int offset(int local) {
    return offsets[local];
  }

  /** Rows of local expert {@code local}. */
  public int rows(int local) {
    return offsets[local + 1] - offsets[local];
  }

  /** The assignment that {@code row} came from. */
  public int assignment(int row) {
    return assignmentOf[row];
  }

  /** The token that {@code row} came from. */
  public int token(int row) {
    return tokenOf[row];
  }

  /** The local expert of {@code assignment}, or {@link ExpertMap#REMOTE}. */
  public int local(int assignment) {
    return map.local(routes.expertIds()[assignment]);
  }

  /** The row of {@code assignment}, or {@link #DROPPED}. */
  public int row(int assignment) {
    return rowOf[assignment];
  }
}
