package quamba.job;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What an evaluation must find: clauses such as {@code kl<=0.02} or {@code lambada>=0.98x}, all of
 * which must hold. A number with an x is a share of what the reference has.
 */
record Gate(List<Clause> clauses) {
  private static final Pattern CLAUSE =
      Pattern.compile(
          "\\s*([A-Za-z0-9_.-]+)\\s*(<=|>=|<|>)"
              + "\\s*([+-]?(?:\\d+\\.?\\d*|\\.\\d+)(?:[eE][+-]?\\d+)?)(x?)\\s*");

  /** How a value must be to its bound. */
  enum Relation {
    AT_MOST("<="),
    AT_LEAST(">="),
    LESS("<"),
    MORE(">");

    private final String sign;

    Relation(String sign) {
      this.sign = sign;
    }

    static Relation of(String sign) {
      for (Relation relation : values()) {
        if (relation.sign.equals(sign)) {
          return relation;
        }
      }
      throw new IllegalArgumentException(sign);
    }

    /** What is no number is in no relation. */
    boolean holds(double value, double bound) {
      return switch (this) {
        case AT_MOST -> value <= bound;
        case AT_LEAST -> value >= bound;
        case LESS -> value < bound;
        case MORE -> value > bound;
      };
    }
  }

  /** What a bound counts in. */
  enum Unit {
    ABSOLUTE,
    OF_REFERENCE
  }

  /**
   * A metric and what it must be.
   *
   * @param text as it was typed
   */
  record Clause(String text, String metric, Relation relation, double bound, Unit unit) {
    private List<String> failures(List<Metric> found) {
      List<String> failures = new ArrayList<>();
      for (Metric metric : found) {
        double limit = unit == Unit.ABSOLUTE ? bound : bound * metric.reference();
        if (!relation.holds(metric.value(), limit)) {
          failures.add(
              String.format(
                  Locale.ROOT,
                  "gate: %s does not hold for %s: expected %s %.6g, found %.6g",
                  text,
                  metric.subject(),
                  relation.sign,
                  limit,
                  metric.value()));
        }
      }
      return failures;
    }
  }

  /**
   * Something found.
   *
   * @param subject the text or task that it was found in
   * @param reference the same for the reference, NaN where there is none
   */
  record Metric(String subject, double value, double reference) {}

  /**
   * Reads an expression; nothing at all is a gate that everything passes.
   *
   * @throws IllegalArgumentException naming the clause that is none
   */
  static Gate parse(String expression) {
    List<Clause> clauses = new ArrayList<>();
    if (expression.isEmpty()) {
      return new Gate(List.of());
    }
    for (String text : expression.split(",", -1)) {
      Matcher matcher = CLAUSE.matcher(text);
      if (!matcher.matches()) {
        throw new IllegalArgumentException(
            "--gate: expected clauses such as kl<=0.02 or lambada>=0.98x, found '" + text + "'");
      }
      clauses.add(
          new Clause(
              text.strip(),
              matcher.group(1),
              Relation.of(matcher.group(2)),
              Double.parseDouble(matcher.group(3)),
              matcher.group(4).isEmpty() ? Unit.ABSOLUTE : Unit.OF_REFERENCE));
    }
    return new Gate(List.copyOf(clauses));
  }

  /**
   * Refuses clauses that nothing could decide.
   *
   * @param names of metrics, each with whether the reference has it too
   */
  void require(Map<String, Unit> names) {
    for (Clause clause : clauses) {
      Unit known = names.get(clause.metric());
      if (known == null) {
        throw new IllegalArgumentException(
            "--gate: %s: expected one of %s, found '%s'"
                .formatted(clause.text(), String.join(", ", names.keySet()), clause.metric()));
      }
      if (clause.unit() == Unit.OF_REFERENCE && known == Unit.ABSOLUTE) {
        throw new IllegalArgumentException(
            "--gate: %s: a bound with x needs --reference and a metric that it has, too"
                .formatted(clause.text()));
      }
    }
  }

  /** Whether a clause is about this metric. */
  boolean names(String metric) {
    return clauses.stream().anyMatch(clause -> clause.metric().equals(metric));
  }

  /** A line for every clause and subject for which it does not hold. */
  List<String> failures(Map<String, List<Metric>> found) {
    return clauses.stream()
        .flatMap(clause -> clause.failures(found.get(clause.metric())).stream())
        .toList();
  }
}
