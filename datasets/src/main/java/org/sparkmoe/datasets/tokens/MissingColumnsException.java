package org.sparkmoe.datasets.tokens;

import java.util.List;
import java.util.stream.Collectors;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.safetensors.Quoted;

/** An input lacks columns that are named; whoever asked knows how other names are given. */
public final class MissingColumnsException extends InputException {
  private static final long serialVersionUID = 1;

  /** What a column is for. */
  public enum Role {
    TOKEN_ID("token id"),
    HIDDEN("hidden"),
    KEPT("kept"),
    SINCE("--since");

    private final String words;

    Role(String words) {
      this.words = words;
    }

    @Override
    public String toString() {
      return words;
    }
  }

  /** A column that is looked for. */
  record Wanted(Role role, String name) {
    @Override
    public String toString() {
      return "no %s column %s".formatted(role, Quoted.of(name));
    }
  }

  /** An array, because exceptions are serializable. */
  private final Role[] roles;

  MissingColumnsException(String path, List<Wanted> missing, String columns) {
    super(
        "%s has %s; its columns are %s"
            .formatted(
                path,
                missing.stream().map(Wanted::toString).collect(Collectors.joining(" and ")),
                columns));
    this.roles = missing.stream().map(Wanted::role).distinct().toArray(Role[]::new);
  }

  /** What the missing columns are for, each once. */
  public List<Role> roles() {
    return List.of(roles);
  }
}
