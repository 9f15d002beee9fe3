package quamba.udf.recipe;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;
import quamba.kernels.HostTensor;
import quamba.udf.checkpoint.InvalidCheckpointException;
import quamba.udf.checkpoint.Safetensors;
import quamba.udf.checkpoint.SafetensorsWriter;

/** What steps of quantizing have done, for a run that takes over from one that was interrupted. */
public interface SavedSteps {
  /** Saves nothing. */
  SavedSteps NONE =
      new SavedSteps() {
        @Override
        public Optional<LayerReport> restore(String step, DraftModel draft) {
          return Optional.empty();
        }

        @Override
        public void save(String step, Map<String, HostTensor> tensors, LayerReport report) {}
      };

  /** Puts into the draft what the step had put there; empty if it was not saved. */
  Optional<LayerReport> restore(String step, DraftModel draft);

  /** Saves what the step has put into the draft. */
  void save(String step, Map<String, HostTensor> tensors, LayerReport report);

  /** Files in a folder, one for each step. */
  final class Folder implements SavedSteps {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String IDENTITY = "identity";
    private static final String ENDING = ".safetensors";

    private final Path folder;
    private final String identity;

    private Folder(Path folder, String identity) {
      this.folder = folder;
      this.identity = identity;
    }

    /**
     * The folder of a run.
     *
     * @param folder is made, or taken over
     * @param identity of all that decides the result; what another run has saved is not taken over
     */
    public static Folder open(Path folder, String identity) {
      try {
        Files.createDirectories(folder);
        return new Folder(folder, identity);
      } catch (IOException e) {
        throw new UncheckedIOException(folder + ": cannot be made: " + e, e);
      }
    }

    private Path file(String step) {
      return folder.resolve(step.replace(' ', '-') + ENDING);
    }

    @Override
    public Optional<LayerReport> restore(String step, DraftModel draft) {
      if (!Files.exists(file(step))) {
        return Optional.empty();
      }
      try (Safetensors saved = Safetensors.open(file(step))) {
        if (!identity.equals(saved.metadata().get(IDENTITY))) {
          return Optional.empty();
        }
        for (String name : saved.names()) {
          draft.put(name, saved.tensor(name)); // mapped, whatever becomes of the file
        }
        Map<String, Double> errors =
            JSON.readValue(
                saved.metadata().get("errors"), new TypeReference<TreeMap<String, Double>>() {});
        return Optional.of(
            new LayerReport(
                saved.metadata().get("part"),
                errors,
                Double.parseDouble(saved.metadata().get("saturated"))));
      } catch (JsonProcessingException e) {
        throw new InvalidCheckpointException(file(step) + ": not as it was saved", e);
      }
    }

    @Override
    public void save(String step, Map<String, HostTensor> tensors, LayerReport report) {
      Path unfinished = folder.resolve(step.replace(' ', '-') + ".tmp");
      try {
        Map<String, String> metadata =
            Map.of(
                IDENTITY,
                identity,
                "part",
                report.part(),
                "errors",
                JSON.writeValueAsString(report.errors()),
                "saturated",
                Double.toString(report.saturated()));
        SafetensorsWriter.writeAll(unfinished, metadata, new TreeMap<>(tensors));
        Files.move(unfinished, file(step), StandardCopyOption.ATOMIC_MOVE);
      } catch (IOException e) {
        throw new UncheckedIOException(unfinished + ": cannot be written: " + e, e);
      }
    }

    /** Deletes the folder, when the checkpoint is written. */
    public void delete() {
      try (Stream<Path> files = Files.list(folder)) {
        for (Path file : files.toList()) {
          Files.delete(file);
        }
        Files.delete(folder);
      } catch (IOException e) {
        throw new UncheckedIOException(folder + ": cannot be deleted: " + e, e);
      }
    }
  }
}
