// imgstore key trust.

import ArgumentParser
import Images

struct KeyTrust: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trust", abstract: "Trust a public key from now on.",
    discussion: """
      Compare its id with what the key's owner says, over another way than the one it came by. To \
      trust a key no more, remove its file.
      """)

  @Argument(help: "The public key, in PEM.") var file: String
  @Option(help: "What the key is called here.") var name: String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let outcome = try common.open().trustKey(file, as: name)
    Terminal.finish()
    if json.json { return try printJSON(KeyJSON(outcome)) }
    print("trusted key \(outcome.key.id)")
    for file in outcome.publicFiles { print("  \(file)") }
  }
}
