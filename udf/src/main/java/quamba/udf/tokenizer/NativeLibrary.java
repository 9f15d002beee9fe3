package quamba.udf.tokenizer;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import java.io.IOException;
import java.io.InputStream;
import java.lang.management.ManagementFactory;
import java.lang.management.OperatingSystemMXBean;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/**
 * The native half of DJL's binding, loaded from the jar without DJL's own loader.
 *
 * <p>That loader looks for GPUs, obeys environment variables that can make it download another
 * build, calls home to an address of its vendor, and runs whatever library lies in a cache folder
 * whose name is known beforehand and which moves to the shared temporary folder when the home is
 * not writable. None of its classes is touched here. Each virtual machine instead unpacks the
 * library (15 MB) under a fresh name that only its user may write, loads it, and removes the file
 * at once: no home is needed, and virtual machines, and class loaders of one, never meet.
 */
final class NativeLibrary {
  static final NativeLibrary INSTANCE = new NativeLibrary();

  private boolean loaded;

  private NativeLibrary() {}

  /**
   * The binding, its native half loaded.
   *
   * @throws IllegalStateException if it cannot be loaded, saying why
   */
  synchronized TokenizersLibrary binding() {
    if (!loaded) {
      load();
      loaded = true;
    }
    return TokenizersLibrary.LIB;
  }

  private static void load() {
    ClassLoader loader = TokenizersLibrary.class.getClassLoader();
    if (loader != NativeLibrary.class.getClassLoader()) {
      // A virtual machine binds native methods only for classes of the loader that loads the file.
      throw new IllegalStateException(
          "the tokenizers jar is on another class path than Quamba: put both on the same one");
    }
    String resource = resource();
    try (InputStream packed = loader.getResourceAsStream(resource)) {
      if (packed == null) {
        throw new IllegalStateException("the tokenizers jar has no " + resource);
      }
      Path file = Files.createTempFile("quamba-tokenizers-", ".library");
      try {
        Files.copy(packed, file, StandardCopyOption.REPLACE_EXISTING);
        System.load(file.toAbsolutePath().toString());
      } finally {
        Files.delete(file);
      }
    } catch (IOException | UnsatisfiedLinkError e) {
      throw new IllegalStateException(
          "the tokenizers' native library does not load; it needs glibc 2.34 or later, and a"
              + " temporary folder (-Djava.io.tmpdir) with 20 MB free that is not mounted noexec: "
              + e.getMessage(),
          e);
    }
  }

  private static String resource() {
    OperatingSystemMXBean system = ManagementFactory.getOperatingSystemMXBean();
    String name = system.getName().startsWith("Mac") ? "osx" : "linux";
    String architecture = system.getArch().equals("amd64") ? "x86_64" : system.getArch();
    return "native/lib/%s-%s/cpu/%s"
        .formatted(name, architecture, System.mapLibraryName("tokenizers"));
  }
}
