package quamba.udf.tokenizer;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TokenizerGoldensTest {
  @ParameterizedTest
  @EnumSource(Goldens.class)
  void everyIdAndEveryCharacterIsThatOfThePythonPackage(Goldens goldens) throws IOException {
    List<Goldens.Case> cases = goldens.cases();
    assertEquals(300, cases.size());
    try (HuggingFaceTokenizer tokenizer = goldens.open()) {
      assertEquals(goldens.vocabulary(), tokenizer.vocabulary());
      for (Goldens.Case expected : cases) {
        assertEquals(
            expected.ids(), Arrays.stream(tokenizer.encode(expected.text())).boxed().toList());
        assertEquals(expected.decoded(), tokenizer.decode(expected.idArray()));
      }
    }
  }
}
