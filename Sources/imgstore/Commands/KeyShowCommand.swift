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
    if try json.prints(KeyJSON(key: publicKey)) { return }
    print("key \(publicKey.id)")
    print(String(decoding: publicKey.pem, as: UTF8.self), terminator: "")
  }
}
