package quamba.kernels;

/**
 * The backend that was asked for is not to be had on this machine; the message says why. Nothing
 * falls back to another one.
 */
public final class BackendUnavailableException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public BackendUnavailableException(String message) {
    super(message);
  }

  public BackendUnavailableException(String message, Throwable cause) {
    super(message, cause);
  }
}
