package quamba.udf.calibration;

import java.io.Serializable;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import quamba.udf.model.QuantizedNames.Tap;

/** The ranges of a model's sites. */
public final class Ranges implements Observer, Serializable {
  private static final long serialVersionUID = 1;

  private final EnumSet<Tap> taps;
  private final HashMap<Site, Range> ranges = new HashMap<>();

  /** Of nothing yet, for sites of these taps. */
  public Ranges(Set<Tap> taps) {
    this.taps = EnumSet.copyOf(taps);
  }

  @Override
  public boolean wants(Site site) {
    return taps.contains(site.tap());
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
