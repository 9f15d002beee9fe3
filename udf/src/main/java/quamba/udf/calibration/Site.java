package quamba.udf.calibration;

import java.io.Serializable;
import quamba.udf.model.QuantizedNames.Tap;

/**
 * A place that activations flow through. The head's input is the in_proj input of a layer behind
 * the last.
 */
public record Site(int layer, Tap tap) implements Serializable {}
