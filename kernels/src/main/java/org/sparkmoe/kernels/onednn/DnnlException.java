package org.sparkmoe.kernels.onednn;

/**
 * oneDNN did not do what it was called for. The message holds the call and its status by name and
 * value, or what this CPU lacks.
 */
public final class DnnlException extends RuntimeException {
  private static final long serialVersionUID = 1;

  /** {@code dnnl_status_t}, by value. */
  private static final String[] STATUS = {
    "success",
    "out_of_memory",
    "invalid_arguments",
    "unimplemented",
    "last_impl_reached",
    "runtime_error",
    "not_required",
    "invalid_graph",
    "invalid_graph_op",
    "invalid_shape",
    "invalid_data_type"
  };

  DnnlException(String call, int status) {
    super("%s: dnnl_%s (status %d)".formatted(call, name(status), status));
  }

  DnnlException(String message) {
    super(message);
  }

  private static String name(int status) {
    return status >= 0 && status < STATUS.length ? STATUS[status] : "unknown";
  }

  /** Throws unless {@code status} is success. */
  static void check(int status, String call) {
    if (status != 0) {
      throw new DnnlException(call, status);
    }
  }
}
