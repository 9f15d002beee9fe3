package quamba.kernels;

/** Operations of a {@link Backend} that were put together once, to be run often. */
@FunctionalInterface
public interface Recording extends AutoCloseable {
  /** Runs them, as if they were called one by one. */
  void run();

  /** Forgets them; what the backend keeps of them is free again. */
  @Override
  default void close() {}
}
