package quamba.kernels;

/**
 * The device has too little memory for what is being opened. Thrown only while a backend or a model
 * is opened; less of it, fewer slots above all, may fit.
 */
public final class DeviceMemoryException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final long wantedBytes;
  private final long freeBytes;

  /**
   * @param what that found no room
   * @param wantedBytes its size
   * @param freeBytes that the device had left, not always in one piece
   */
  public DeviceMemoryException(String what, long wantedBytes, long freeBytes) {
    super(
        "%s: wanted %,d bytes of device memory, %,d are free"
            .formatted(what, wantedBytes, freeBytes));
    this.wantedBytes = wantedBytes;
    this.freeBytes = freeBytes;
  }

  /** Size of what found no room. */
  public long wantedBytes() {
    return wantedBytes;
  }

  /** What the device had left. */
  public long freeBytes() {
    return freeBytes;
  }
}
