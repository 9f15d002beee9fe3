package quamba.udf.calibration;

import java.io.Serializable;
import java.util.HashMap;
import java.util.Map;

/** The second moments at some sites. */
public final class MomentsBySite implements Observer, Serializable {
  private static final long serialVersionUID = 1;

  private final HashMap<Site, Moments> moments = new HashMap<>();

  /**
   * Of nothing yet.
   *
   * @param most largest magnitude of each column at each site that matters
   */
  public MomentsBySite(Map<Site, float[]> most) {
    most.forEach((site, columns) -> moments.put(site, new Moments(columns)));
  }

  @Override
  public boolean wants(Site site) {
    return moments.containsKey(site);
  }

  @Override
  public void saw(Site site, int tokens, float[] values) {
    moments.get(site).add(tokens, values);
  }

  /** Adds what another saw of the same sites; in any order the result is the same. */
  public MomentsBySite add(MomentsBySite other) {
    moments.forEach((site, sum) -> sum.add(other.moments.get(site)));
    return this;
  }

  /** The moments at a site. */
  public Moments of(Site site) {
    return moments.get(site);
  }
}
