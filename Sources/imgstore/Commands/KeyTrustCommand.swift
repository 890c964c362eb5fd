// imgstore key trust.

import ArgumentParser
import Images

struct KeyTrustCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trust", abstract: "Trust a public key",
    discussion: """
      First compare the key's id with its owner over another channel than the one that delivered the \
      key. To stop trusting a key, remove its file.
      """)

  @Argument(help: "File of the public key, in PEM") var file: String
  @Option(help: "Name of the key on this machine") var name: String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let outcome = try common.open().trustKey(file, as: name)
    if try json.prints(KeyJSON(outcome)) { return }
    print("trusted key \(outcome.key.id)")
    for file in outcome.publicFiles { print("  \(file)") }
  }
}
