// imgstore recipes.

import ArgumentParser
import Images
import Ingest
import Platform

struct Recipes: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "recipes",
    abstract: "Keep packed images as recipes over the files of the tree.",
    discussion: """
      A packed image (rootimg.cpio.gz, rootimg.tar.gz, an initrd, a plain cpio or tar) holds again \
      what the tree beside it holds. Where its compressor can be repeated bit for bit - pigz, \
      zlib in Python, Perl and others, imgstore itself - the store keeps how it is made instead of \
      its bytes: under 1 % of its size. It is made again when it is read: by restore, revert, \
      export, cat.

      Each recipe is proved first: the file is made again, whole, and its SHA-256 compared; that \
      takes about as long as packing it. What cannot be repeated (GNU gzip, xz, zstd) stays as it \
      is. The bytes that a recipe replaces leave the store with the next 'imgstore gc'; \
      'imgstore snapshot --recipes' never stores them.
      """)

  @Argument(help: "The snapshot; an image's name for its latest.") var ref: String
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let outcome = try common.open().makeRecipes(ref)
    Terminal.finish()
    if json.json { return try printJSON(RecipesJSON(outcome)) }
    let made = outcome.results.count { $0.isMade }
    print(
      "\(outcome.snapshot.name): \(count(made, "new recipe"))"
        + (outcome.alreadyMade > 0 ? ", \(outcome.alreadyMade) as before" : "")
        + "; \(secondsText(outcome.seconds))")
    for result in outcome.results { print("  " + recipeText(result)) }
  }
}

extension RecipeResult {
  var isMade: Bool {
    if case .stored = outcome { true } else { false }
  }
}

/// "/install/…/rootimg.cpio.gz: a recipe (pigz -6) over 41,000 contents; …".
func recipeText(_ result: RecipeResult) -> String {
  switch result.outcome {
  case .none(let why): return "\(printable(result.path)): stored as it is: \(why)"
  case .stored(let report):
    let how = report.encoders.isEmpty ? "" : " (\(report.encoders.joined(separator: "; ")))"
    return "\(printable(result.path)): a recipe\(how) over \(count(report.contents, "file")), "
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
