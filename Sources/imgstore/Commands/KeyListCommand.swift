// imgstore key list.

import ArgumentParser
import Images

struct KeyListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the trusted keys")

  @OptionGroup var trusted: TrustedKeysOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let keys = try common.open().trustedKeys(trusted.trustedKeys)
    if try json.prints(KeysJSON(keys: keys.all.map { KeyJSON(key: $0.key, name: $0.name) })) {
      return
    }
    if keys.isEmpty { return print("\(keys.directory) has no keys") }
    print(table(keys.all.map { [$0.key.id.hex, $0.name] }))
  }
}
