package quamba.job;

/** What schedulers branch on. */
final class ExitCode {
  /** Complete. */
  static final int OK = 0;

  /** Bad flags, bad checkpoint or bad input; nothing was written. */
  static final int REFUSED = 2;

  /** Complete, but more error rows than allowed. */
  static final int TOO_MANY_ERRORS = 3;

  /** A failure that another run may mend. */
  static final int FAILED = 5;

  private ExitCode() {}
}
