package quamba.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.job.Gate.Clause;
import quamba.job.Gate.Metric;
import quamba.job.Gate.Relation;
import quamba.job.Gate.Unit;

class GateTest {
  @Test
  void clausesAreReadAsTyped() {
    assertEquals(
        new Gate(
            List.of(
                new Clause("kl<=0.02", "kl", Relation.AT_MOST, 0.02, Unit.ABSOLUTE),
                new Clause(
                    "lambada >= .98x", "lambada", Relation.AT_LEAST, 0.98, Unit.OF_REFERENCE),
                new Clause(
                    "piqa.acc_norm>5e-1", "piqa.acc_norm", Relation.MORE, 0.5, Unit.ABSOLUTE),
                new Clause("nll<-1", "nll", Relation.LESS, -1, Unit.ABSOLUTE))),
        Gate.parse("kl<=0.02, lambada >= .98x ,piqa.acc_norm>5e-1,nll<-1"));
    assertEquals(new Gate(List.of()), Gate.parse(""));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "kl",
        "kl<=",
        "<=0.02",
        "kl=0.02",
        "kl==0.02",
        "kl<=0.02,",
        ",kl<1",
        "kl<=0.02y",
        "kl<=x",
        "kl<=NaN",
        "kl<=1 2",
        "kl<=1;nll<2",
        " "
      })
  void othersAreRefused(String expression) {
    IllegalArgumentException refusal =
        assertThrows(IllegalArgumentException.class, () -> Gate.parse(expression));
    assertEquals(
        "--gate: expected clauses such as kl<=0.02 or lambada>=0.98x, found",
        refusal.getMessage().replaceAll(" '.*'$", ""));
  }

  @ParameterizedTest
  @CsvSource({
    "a<=1, 1, true",
    "a<=1, 1.1, false",
    "a<1, 1, false",
    "a<1, 0.9, true",
    "a>=1, 1, true",
    "a>=1, 0.9, false",
    "a>1, 1, false",
    "a>1, 1.1, true",
    "a<=1, NaN, false",
    "a>=1, NaN, false",
    "a<=1.5x, 3, true",
    "a<=1.5x, 3.1, false",
    "a>=0.5x, 0.9, false",
    "a>=0.5x, 1, true"
  })
  void relationsHold(String expression, double value, boolean holds) {
    Map<String, List<Metric>> found = Map.of("a", List.of(new Metric("some", value, 2)));
    assertEquals(holds, Gate.parse(expression).failures(found).isEmpty());
  }

  @Test
  void everySubjectMustPassAndFailuresSayWhatWasExpected() {
    Map<String, List<Metric>> found =
        Map.of(
            "kl",
            List.of(
                new Metric("a.txt", 0.01, Double.NaN),
                new Metric("b.txt", 0.03, Double.NaN),
                new Metric("c.txt", 0.04, Double.NaN)),
            "lambada",
            List.of(new Metric("lambada", 0.3, 0.5)));
    assertEquals(
        List.of(
            "gate: kl<=0.02 does not hold for b.txt: expected <= 0.0200000, found 0.0300000",
            "gate: kl<=0.02 does not hold for c.txt: expected <= 0.0200000, found 0.0400000",
            "gate: lambada>=0.98x does not hold for lambada: expected >= 0.490000, found 0.300000"),
        Gate.parse("kl<=0.02,lambada>=0.98x").failures(found));
  }
}
