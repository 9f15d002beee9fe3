import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import javax.xml.parsers.DocumentBuilderFactory;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

/** Adds up the test reports of all modules: how many ran, and how many were skipped and why. */
public final class TestSummary {
  public static void main(String[] args) throws Exception {
    int passed = 0;
    int failed = 0;
    Map<String, Integer> skipped = new TreeMap<>();
    for (String module : new String[] {"kernels", "udf", "job"}) {
      Path reports = Path.of(args[0], module, "target", "surefire-reports");
      if (!Files.isDirectory(reports)) {
        continue;
      }
      try (Stream<Path> files = Files.list(reports)) {
        for (File file :
            files.map(Path::toFile).filter(f -> f.getName().matches("TEST-.*\\.xml")).toList()) {
          NodeList cases =
              DocumentBuilderFactory.newInstance()
                  .newDocumentBuilder()
                  .parse(file)
                  .getElementsByTagName("testcase");
          for (int index = 0; index < cases.getLength(); index++) {
            Element test = (Element) cases.item(index);
            if (test.getElementsByTagName("skipped").getLength() > 0) {
              Element why = (Element) test.getElementsByTagName("skipped").item(0);
              String text = why.getAttribute("message") + why.getTextContent();
              String reason = text.lines().findFirst().orElse("").replaceFirst("^.*?skipped: ", "");
              skipped.merge(reason.isBlank() ? "no reason given" : reason, 1, Integer::sum);
            } else if (test.getElementsByTagName("failure").getLength()
                    + test.getElementsByTagName("error").getLength()
                > 0) {
              failed++;
            } else {
              passed++;
            }
          }
        }
      }
    }
    int total = skipped.values().stream().mapToInt(count -> count).sum();
    skipped.forEach((reason, count) -> System.out.printf("skipped %d: %s%n", count, reason));
    System.out.printf("tests: %d passed, %d failed, %d skipped%n", passed, failed, total);
  }
}
