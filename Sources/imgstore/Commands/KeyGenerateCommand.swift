// imgstore key generate.

import ArgumentParser
import Images

struct KeyGenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate", abstract: "Create an Ed25519 key pair without overwriting files",
    discussion: """
      Without --output, the command creates the key of this machine, and this machine trusts it. The \
      public key is next to the private key, with .pub added to its name; give it to other sites.
      """)

  @Option(help: ArgumentHelp("Write the private key to FILE", valueName: "file"))
  var output: String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let outcome = try common.open().generateKey(output: output)
    if try json.prints(KeyJSON(outcome)) { return }
    print("key \(outcome.key.id)")
    if let file = outcome.privateFile { print("  private key: \(file)") }
    for file in outcome.publicFiles { print("  public key:  \(file)") }
  }
}
