package quamba.kernels;

/**
 * The device, or this process's hold on it, is broken: nothing that was opened on it can go on, and
 * opening it again in the same process is not safe either. Another process may fare better.
 */
public final class DeviceFaultException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public DeviceFaultException(String message) {
    super(message);
  }
}
