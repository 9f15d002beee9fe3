package quamba.kernels;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/**
 * What every backend does, as tests; expected values come from {@link Oracle}. A subclass opens the
 * backend. Sizes vary one at a time from a base case.
 */
public abstract class BackendContract
    implements MemoryContract,
        DenseContract,
        ConvContract,
        ScanContract,
        SampleContract,
        CodesContract,
        RoundingContract,
        StateContract {
  private Probe probe;

  /** A new backend, closed after each test. */
  protected abstract Backend open();

  @BeforeEach
  void openBackend() {
    probe = new Probe(new CheckedBackend(open()));
  }

  @AfterEach
  void closeBackend() {
    probe.backend().close();
  }

  @Override
  public Probe probe() {
    return probe;
  }
}
