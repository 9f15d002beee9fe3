package quamba.udf.benchmark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import quamba.udf.quantizer.Scheme;
import quamba.udf.recipe.Quantized;

/**
 * Writes a {@link SyntheticModel} as a checkpoint, all of which must fit into memory.
 *
 * <p>Arguments: name of the shape, scheme, folder to write, a {@code tokenizer.json} to put beside,
 * seed (1).
 */
public final class WriteSyntheticModel {
  private WriteSyntheticModel() {}

  public static void main(String[] args) throws IOException {
    long seed = args.length > 4 ? Long.parseLong(args[4]) : 1;
    SyntheticModel model =
        new SyntheticModel(ModelShape.parse(args[0]), Scheme.parse(args[1]), seed);
    long bytes =
        new Quantized(model, List.of()).write(Path.of(args[2]), Files.readString(Path.of(args[3])));
    System.out.printf(
        Locale.ROOT, "%s: %,d bytes of tensors, made in %.1f s%n", args[2], bytes, model.seconds());
  }
}
