package quamba.udf.engine;

import java.util.List;
import quamba.udf.tokenizer.Tokenizer;

/** Looks for stop texts in a growing generation, also across the borders of tokens. */
final class StopText {
  private final List<String> stops;
  private final Tokenizer.TextStream stream;
  private final StringBuilder text = new StringBuilder();
  private final int longest;

  private StopText(List<String> stops, Tokenizer.TextStream stream) {
    this.stops = stops;
    this.stream = stream;
    this.longest = stops.stream().mapToInt(String::length).max().orElse(0);
  }

  static StopText of(List<String> stops, Tokenizer tokenizer) {
    return new StopText(stops, tokenizer.stream());
  }

  /** Adds an id; returns whether the text, were it to end now, holds a stop text. */
  boolean append(int id) {
    if (stops.isEmpty()) {
      return false;
    }
    int from = Math.max(0, text.length() - longest + 1);
    text.append(stream.append(id));
    int certain = text.length();
    boolean found = first(text.append(stream.pending()), from) >= 0;
    text.setLength(certain);
    return found;
  }

  /** {@code decoded} up to the first stop text in it. */
  String cut(String decoded) {
    int at = stops.isEmpty() ? -1 : first(new StringBuilder(decoded), 0);
    return at < 0 ? decoded : decoded.substring(0, at);
  }

  private int first(StringBuilder within, int from) {
    int best = -1;
    for (String stop : stops) {
      int at = within.indexOf(stop, from);
      if (at >= 0 && (best < 0 || at < best)) {
        best = at;
      }
    }
    return best;
  }
}
