package quamba.udf.calibration;

import java.util.Map;
import java.util.Set;
import quamba.udf.checkpoint.TensorSource;
import quamba.udf.model.QuantizedNames.Tap;

/** Runs models over calibration samples, wherever that may be. */
public interface Calibration {
  /** How large activations are in a model of floats, at these taps of all layers. */
  Ranges ranges(TensorSource model, Set<Tap> taps);

  /**
   * Second moments at sites of layers of floats; layers before them may be quantized.
   *
   * @param most largest magnitude of each column at each site that is wanted
   */
  MomentsBySite moments(TensorSource model, Map<Site, float[]> most);

  /** Compares a model with a reference on samples that {@link #ranges} does not see. */
  Comparison compare(TensorSource reference, TensorSource model);
}
