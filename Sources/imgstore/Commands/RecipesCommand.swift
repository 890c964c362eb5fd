// imgstore recipes.

import ArgumentParser
import Images

struct RecipesCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "recipes",
    abstract: "Store packed images as recipes over the files of the tree",
    discussion: """
      A packed image (rootimg.cpio.gz, rootimg.tar.gz, an initrd, a plain cpio or tar) repeats the \
      content of the tree next to it. So do ramdisks in the tree (boot/initrd.img-6.1.0). If imgstore can reproduce the compressor bit for bit, the \
      store keeps a recipe instead of the bytes, with less than 1 % of the size. It can reproduce \
      pigz, GNU gzip, zlib in Python, Perl and other programs, zstd -1 to -19 of the same version \
      as its own libzstd, and imgstore itself. restore, revert, export and cat rebuild the file when \
      they read it.

      The command verifies each recipe first: it rebuilds the whole file and compares its SHA-256. \
      That takes about as long as packing it. Files by other programs, such as xz, cannot be \
      reproduced and stay unchanged. The next 'imgstore gc' deletes the bytes that a recipe replaces; 'imgstore \
      snapshot --recipes' never stores them.
      """)

  @Argument(help: "Snapshot; the name of an image means its latest") var ref: String
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let outcome = try common.open().makeRecipes(ref)
    if try json.prints(outcome) { return }
    let newRecipes = outcome.results.count { $0.report != nil }
    print(
      "\(outcome.snapshot.name): \(count(newRecipes, "new recipe"))"
        + (outcome.alreadyMade > 0 ? ", \(outcome.alreadyMade) from before" : "")
        + "; \(secondsText(outcome.seconds))")
    for result in outcome.results { print("  " + recipeText(result)) }
  }
}

/// Returns a result as a line: "/install/…/rootimg.cpio.gz: a recipe (pigz -6) over 41000 files, …".
func recipeText(_ result: RecipeResult) -> String {
  switch result.outcome {
  case .none(let reason): return "\(printable(result.path)): stored without a recipe: \(reason)"
  case .stored(let report):
    let encoders = report.encoders.isEmpty ? "" : " (\(report.encoders.joined(separator: "; ")))"
    return "\(printable(result.path)): a recipe\(encoders) over \(count(report.contents, "file")), "
      + "\(report.newContents) of them new; \(sizeText(report.storedBytes)) for "
      + sizeText(result.sizeBytes)
  }
}
