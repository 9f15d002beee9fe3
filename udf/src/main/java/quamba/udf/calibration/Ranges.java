package quamba.udf.calibration;

import java.io.Serializable;
import java.util.HashMap;
import java.util.Map;

/** The ranges of all sites that a model has. */
public final class Ranges implements Observer, Serializable {
  private static final long serialVersionUID = 1;

  private final HashMap<Site, Range> ranges = new HashMap<>();

  @Override
  public boolean wants(Site site) {
    return true;
  }

  @Override
  public void saw(Site site, int tokens, float[] values) {
    ranges.computeIfAbsent(site, it -> new Range(values.length / tokens)).add(tokens, values);
  }

  /** Adds what another saw; in any order the result is the same. */
  public Ranges add(Ranges other) {
    for (Map.Entry<Site, Range> entry : other.ranges.entrySet()) {
      int columns = entry.getValue().most().length;
      ranges.computeIfAbsent(entry.getKey(), it -> new Range(columns)).add(entry.getValue());
    }
    return this;
  }

  /**
   * The range of a site.
   *
   * @throws IllegalStateException if nothing was seen there
   */
  public Range of(Site site) {
    Range range = ranges.get(site);
    if (range == null) {
      throw new IllegalStateException("calibration saw nothing of " + site);
    }
    return range;
  }
}
