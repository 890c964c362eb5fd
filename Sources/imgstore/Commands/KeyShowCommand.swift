// imgstore key show.

import ArgumentParser
import Images

struct KeyShowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Print the id and the public key of the signing key")

  @OptionGroup var key: KeyOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let publicKey = try common.open().signingKey(key.key).publicKey
    Terminal.finish()
    if json.json { return try printJSON(KeyJSON(key: publicKey)) }
    print("key \(publicKey.id)")
    print(String(decoding: publicKey.pem, as: UTF8.self), terminator: "")
  }
}
