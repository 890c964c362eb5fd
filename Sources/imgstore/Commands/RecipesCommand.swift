// imgstore recipes.

import ArgumentParser
import Images
import Ingest
import Platform

struct RecipesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "recipes",
    abstract: "Store packed images as recipes over the files of the tree",
    discussion: """
      A packed image (rootimg.cpio.gz, rootimg.tar.gz, an initrd, a plain cpio or tar) repeats the \
      content of the tree next to it. If imgstore can reproduce the compressor bit for bit, the \
      store keeps a recipe instead of the bytes, with less than 1 % of the size. It can reproduce \
      pigz, zlib in Python, Perl and other programs, and imgstore itself. restore, revert, export \
      and cat rebuild the file when they read it.

      The command verifies each recipe first: it rebuilds the whole file and compares its SHA-256. \
      That takes about as long as packing it. Files by GNU gzip, xz and zstd cannot be reproduced \
      and stay unchanged. The next 'imgstore gc' deletes the bytes that a recipe replaces; 'imgstore \
      snapshot --recipes' never stores them.
      """)

  @Argument(help: "Snapshot; the name of an image means its latest") var ref: String
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let outcome = try common.open().makeRecipes(ref)
    Terminal.finish()
    if json.json { return try printJSON(RecipesJSON(outcome)) }
    let newRecipes = outcome.results.count { $0.isMade }
    print(
      "\(outcome.snapshot.name): \(count(newRecipes, "new recipe"))"
        + (outcome.alreadyMade > 0 ? ", \(outcome.alreadyMade) from before" : "")
        + "; \(secondsText(outcome.seconds))")
    for result in outcome.results { print("  " + recipeText(result)) }
  }
}

extension RecipeResult {
  /// Whether the file is stored as a new recipe.
  var isMade: Bool {
    if case .stored = outcome { true } else { false }
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

struct RecipeJSON: Codable {
  let path: String
  let sizeBytes: UInt64
  let made: Bool
  let why: String?
  let encoders: [String]?
  let contents: Int?
  let newContents: Int?
  let storedBytes: UInt64?

  init(_ result: RecipeResult) {
    path = printable(result.path)
    sizeBytes = result.sizeBytes
    made = result.isMade
    switch result.outcome {
    case .none(let reason):
      why = reason
      (encoders, contents, newContents, storedBytes) = (nil, nil, nil, nil)
    case .stored(let report):
      why = nil
      encoders = report.encoders
      contents = report.contents
      newContents = report.newContents
      storedBytes = report.storedBytes
    }
  }
}

struct RecipesJSON: JSONDocument {
  static let kind = "recipes"
  let snapshot: String
  let recipes: [RecipeJSON]
  let alreadyMade: Int
  let seconds: Double

  init(_ outcome: RecipesOutcome) {
    snapshot = outcome.snapshot.name
    recipes = outcome.results.map(RecipeJSON.init)
    alreadyMade = outcome.alreadyMade
    seconds = outcome.seconds
  }
}
