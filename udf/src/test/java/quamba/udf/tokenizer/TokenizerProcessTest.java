package quamba.udf.tokenizer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Opens a tokenizer in virtual machines of its own, with nothing but a temporary folder. */
class TokenizerProcessTest {
  @TempDir Path folder;

  /** What the virtual machines run. */
  static final class Child {
    private Child() {}

    /** Prints how many ids a text has. */
    public static void main(String[] args) throws IOException {
      try (HuggingFaceTokenizer tokenizer =
          HuggingFaceTokenizer.open(SmallTokenizers.byteLevel())) {
        System.out.println(tokenizer.encode("the hat").length);
      }
    }
  }

  private Process start(String name, Path temporary) throws IOException {
    ProcessBuilder process =
        new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-Xmx256m",
            "-Djava.io.tmpdir=" + temporary,
            "-Duser.home=" + folder.resolve("no-home"),
            "-Xlog:class+load:file=" + folder.resolve(name + ".classes"),
            "-cp",
            System.getProperty("java.class.path"),
            Child.class.getName());
    // What DJL's own loader would obey.
    process
        .environment()
        .putAll(
            Map.of(
                "HOME",
                folder.resolve("no-home").toString(),
                "DJL_OFFLINE",
                "false",
                "RUST_FLAVOR",
                "cu122",
                "RUST_LIBRARY_PATH",
                folder.resolve("no-library").toString()));
    return process
        .redirectErrorStream(true)
        .redirectOutput(folder.resolve(name + ".output").toFile())
        .start();
  }

  private String output(String name) throws IOException {
    return Files.readString(folder.resolve(name + ".output"));
  }

  private static List<String> filesIn(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).toList();
    }
  }

  @Test
  void processesThatStartAtOnceNeedNoHomeAndLeaveNothing() throws Exception {
    Path temporary = Files.createDirectory(folder.resolve("temporary"));
    List<Process> processes = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      processes.add(start("child" + i, temporary));
    }
    for (int i = 0; i < processes.size(); i++) {
      assertEquals(0, processes.get(i).waitFor(), output("child" + i));
      assertEquals("6\n", output("child" + i));
    }
    // The virtual machine's own folder of counters may be there.
    assertEquals(
        List.of(),
        filesIn(temporary).stream().filter(name -> !name.startsWith("hsperfdata")).toList());
    assertTrue(Files.notExists(folder.resolve("no-home")));
  }

  @Test
  void nothingThatCouldReachTheNetworkIsLoaded() throws Exception {
    Path temporary = Files.createDirectory(folder.resolve("temporary"));
    assertEquals(0, start("child", temporary).waitFor(), output("child"));
    List<String> classes = Files.readAllLines(folder.resolve("child.classes"));
    assertEquals(
        1, classes.stream().filter(line -> line.contains(" ai.djl.")).count(), "classes of DJL");
    assertTrue(classes.stream().anyMatch(line -> line.contains(".jni.TokenizersLibrary ")));
    for (String name : List.of("java.net.Socket ", "java.net.HttpURL", "SocketChannelImpl ")) {
      assertTrue(classes.stream().noneMatch(line -> line.contains(name)), name);
    }
  }

  @Test
  void aFolderThatCannotTakeTheLibraryIsNamedAsTheReason() throws Exception {
    assertNotEquals(0, start("child", folder.resolve("no-folder")).waitFor());
    String output = output("child");
    assertTrue(output.contains("IllegalStateException: the tokenizers' native library"), output);
    assertTrue(output.contains("-Djava.io.tmpdir"), output);
  }
}
