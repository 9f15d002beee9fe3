package quamba.kernels;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/**
 * What every backend does in single precision, as tests; expected values come from {@link Oracle}.
 * A subclass opens the backend. Sizes vary one at a time from a base case. Codes, rotations and
 * rounded states have contracts of their own, for backends that compute with them: {@link
 * CodesContract}, {@link RoundingContract}, {@link StateContract}.
 */
public abstract class BackendContract
    implements MemoryContract,
        RecordContract,
        DenseContract,
        ConvContract,
        ScanContract,
        SampleContract {
  private Backend backend;
  private Probe probe;

  /** A backend for one test. */
  protected abstract Backend open();

  /** The test is over. */
  protected void close(Backend backend) {
    backend.close();
  }

  @BeforeEach
  void openBackend() {
    backend = open();
    probe = new Probe(new CheckedBackend(backend));
  }

  @AfterEach
  void closeBackend() {
    close(backend);
  }

  @Override
  public Probe probe() {
    return probe;
  }
}
