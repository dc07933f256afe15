package org.sparkmoe.kernels.permute;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sparkmoe.kernels.testing.RandomTensors;

final class TokenPermutationTest {

  @Test
  void sortsStablyAndDropsWhatIsRemote() {
    int[] ids = {2, 0, -1, 2, 3, 9, 0, 2};
    TokenRoutes routes = new TokenRoutes(3, new int[] {0, 3, 3, 8}, ids, new float[8]);
    TokenPermutation permutation =
        TokenPermutation.of(routes, ExpertMap.of(4, new int[] {2, 1, 0}));

    assertThat(permutation.rows()).isEqualTo(5);
    assertThat(permutation.rows(1)).as("expert 1 is empty").isZero();
    assertThat(assignments(permutation)).containsExactly(0, 3, 7, 1, 6);
    assertThat(permutation.token(0)).isZero();
    assertThat(permutation.token(1)).isEqualTo(2);
    assertThat(permutation.row(4)).as("expert 3 is remote").isEqualTo(TokenPermutation.DROPPED);
    assertThat(permutation.row(6)).isEqualTo(4);
  }

  @ParameterizedTest
  @CsvSource({
    "0,4,2,1",
    "1,16,16,1",
    "33,16,2,4",
    "207,64,8,16",
    "1024,256,8,1",
    "13,1,1,1",
    "33,5,3,7"
  })
  void everyLocalAssignmentHasOneRow(int tokens, int experts, int k, int lanes) {
    RandomTensors random = new RandomTensors(tokens * 31L + experts);
    TokenRoutes routes =
        TokenRoutes.uniform(
            tokens, k, random.expertIds(tokens, k, experts), random.normals(tokens * k, 1));
    int rows = 0;
    for (int lane = 0; lane < lanes; lane++) {
      ExpertMap map = ExpertPlacement.linear(experts, lanes).map(lane);
      rows += check(TokenPermutation.of(routes, map), map, random);
    }
    assertThat(rows).as("rows of all lanes, %s", random).isEqualTo(tokens * k);
  }

  private static int check(TokenPermutation permutation, ExpertMap map, RandomTensors random) {
    for (int local = 0; local < map.localExperts(); local++) {
      int previous = -1;
      for (int row = permutation.offset(local); row < permutation.offset(local + 1); row++) {
        int assignment = permutation.assignment(row);
        assertThat(permutation.local(assignment)).as("expert, %s", random).isEqualTo(local);
        assertThat(permutation.row(assignment)).as("inverse, %s", random).isEqualTo(row);
        assertThat(assignment).as("stable, %s", random).isGreaterThan(previous);
        previous = assignment;
      }
    }
    return permutation.rows();
  }

  @Test
  void routesRefuseOffsetsThatDoNotFit() {
    assertThatThrownBy(() -> new TokenRoutes(2, new int[] {0, 1}, new int[1], new float[1]))
        .hasMessageContaining("need 3 offsets");
    assertThatThrownBy(() -> new TokenRoutes(1, new int[] {0, 2}, new int[1], new float[2]))
        .hasMessageContaining("announce 2 assignments");
    assertThatThrownBy(() -> new TokenRoutes(2, new int[] {0, 2, 1}, new int[1], new float[1]))
        .hasMessageContaining("descend at token 1");
  }

  private static int[] assignments(TokenPermutation permutation) {
    int[] assignments = new int[permutation.rows()];
    Arrays.setAll(assignments, permutation::assignment);
    return assignments;
  }
}
