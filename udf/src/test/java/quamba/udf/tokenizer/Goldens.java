package quamba.udf.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.GZIPInputStream;
import quamba.udf.SharedFiles;

/** A published tokenizer and what Hugging Face's Python package says of 300 texts with it. */
enum Goldens {
  QUAMBA_8K("quamba-8k", "models/mamba2-5m/tokenizer.json"),
  GPT_NEOX_20B("gpt-neox-20b", "data/tokenizers/gpt-neox-20b/tokenizer.json.gz");

  private final String name;
  private final String tokenizer;

  Goldens(String name, String tokenizer) {
    this.name = name;
    this.tokenizer = tokenizer;
  }

  /** One text, its ids, and what they decode to. */
  record Case(String text, List<Integer> ids, String decoded) {
    int[] idArray() {
      return ids.stream().mapToInt(Integer::intValue).toArray();
    }
  }

  byte[] json() throws IOException {
    Path path = SharedFiles.shared(tokenizer);
    byte[] bytes = Files.readAllBytes(path);
    if (!tokenizer.endsWith(".gz")) {
      return bytes;
    }
    try (InputStream unpacked = new GZIPInputStream(Files.newInputStream(path))) {
      return unpacked.readAllBytes();
    }
  }

  HuggingFaceTokenizer open() throws IOException {
    return HuggingFaceTokenizer.open(json());
  }

  int vocabulary() throws IOException {
    return file().path("vocab").asInt();
  }

  List<Case> cases() throws IOException {
    List<Case> cases = new ArrayList<>();
    for (JsonNode entry : file().path("cases")) {
      List<Integer> ids = new ArrayList<>();
      entry.path("ids").forEach(id -> ids.add(id.asInt()));
      cases.add(new Case(entry.path("text").asText(), ids, entry.path("decoded").asText()));
    }
    return cases;
  }

  private JsonNode file() throws IOException {
    Path path = SharedFiles.shared("models/tokenizer-goldens/" + name + ".json");
    return new ObjectMapper().readTree(path.toFile());
  }
}
